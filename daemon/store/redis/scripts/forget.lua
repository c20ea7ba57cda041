-- forget: remove a delivery that is over and whose event is in no history: what the
-- sweep of fallen events would have done.
-- KEYS 1 delivery, 2 alert, 3 seen
-- ARGV 1 do it 0|1, 2 event id
-- result 1 as seen (and removed), 0 not so
local state = redis.pcall('HGET', KEYS[1], 'state')
if state ~= 'sent' and state ~= 'dead' then return 0 end
local seen = redis.call('TYPE', KEYS[3])['ok']
if seen ~= 'zset' and seen ~= 'none' then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 and redis.call('ZSCORE', KEYS[3], ARGV[2]) then return 0 end
if ARGV[1] == '1' then redis.call('DEL', KEYS[1]) end
return 1
