-- unqueue: remove what a queue holds of a delivery that is over, not there, or queued
-- under another entry.
-- KEYS 1 outbox, 2 delayed, 3 open, 4 delivery
-- ARGV 1 do it 0|1, 2 group, 3 delivery id, 4 entry or '', 5 sorted set: delayed, open or ''
-- result 1 something was (and is removed), else 0
for i, kind in ipairs({'stream', 'zset', 'zset'}) do
  local found = redis.call('TYPE', KEYS[i])['ok']
  if found ~= 'none' and found ~= kind then return 0 end
end
local d = redis.pcall('HMGET', KEYS[4], 'state', 'entry')
if d['err'] then return 0 end -- a foreign key: moved aside first
local open = d[1] == 'pending' or d[1] == 'sending' or d[1] == 'retrying'
local found = 0
if ARGV[4] ~= '' and not (open and d[2] == ARGV[4]) then
  local given = redis.pcall('XPENDING', KEYS[1], ARGV[2], ARGV[4], ARGV[4], 1)
  if #redis.call('XRANGE', KEYS[1], ARGV[4], ARGV[4]) > 0 or not given['err'] and #given > 0 then
    found = 1
    if ARGV[1] == '1' then
      redis.pcall('XACK', KEYS[1], ARGV[2], ARGV[4])
      redis.call('XDEL', KEYS[1], ARGV[4])
    end
  end
end
if ARGV[5] == 'delayed' and d[1] ~= 'retrying' and redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  found = 1
  if ARGV[1] == '1' then redis.call('ZREM', KEYS[2], ARGV[3]) end
end
if ARGV[5] == 'open' and not open and redis.call('ZSCORE', KEYS[3], ARGV[3]) then
  found = 1
  if ARGV[1] == '1' then redis.call('ZREM', KEYS[3], ARGV[3]) end
end
return found
