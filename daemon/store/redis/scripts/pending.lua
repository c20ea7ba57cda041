-- pending: what is pending in a group, between two readings of the clock; they
-- differ when an answer about idle times may be off.
-- KEYS 1 stream
-- ARGV 1 group, 2 from, 3 to, 4 how many
-- result {ms before, entries as of XPENDING, ms after}
local before = whole(now)
local entries = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
local clock2 = redis.call('TIME')
return {before, entries, whole(tonumber(clock2[1]) * 1000 + math.floor(tonumber(clock2[2]) / 1000))}
