-- refield: set or remove fields of a hash while they are as they were seen. What they
-- held is kept beside. A change of an alert is told.
-- KEYS 1 hash, 2 where the old values go, 3 changes
-- ARGV 1 do it 0|1, 2 id of the alert or '', 3 length of the changes, 4 nonce, then for
--      each field: name, it was there 0|1, value seen, set it 0|1, value
-- result 1 as seen (and done), 0 changed meanwhile, -1 the place is taken
if redis.call('TYPE', KEYS[1])['ok'] ~= 'hash' then return 0 end
local place = redis.call('TYPE', KEYS[2])['ok']
if place ~= 'hash' and place ~= 'none' then return -1 end
for i = 5, #ARGV, 5 do
  local v = redis.call('HGET', KEYS[1], ARGV[i])
  if (v and '1' or '0') ~= ARGV[i + 1] or v and v ~= ARGV[i + 2] then return 0 end
  local kept = redis.call('HGET', KEYS[2], ARGV[i])
  if v and kept and kept ~= v then return -1 end
end
if ARGV[1] ~= '1' then return 1 end
for i = 5, #ARGV, 5 do
  if ARGV[i + 1] == '1' then redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2]) end
  if ARGV[i + 3] == '1' then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 4]) else redis.call('HDEL', KEYS[1], ARGV[i]) end
end
local changes = redis.call('TYPE', KEYS[3])['ok']
if ARGV[2] ~= '' and (changes == 'stream' or changes == 'none') then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[2], 'op', 'update', 'by', ARGV[4])
end
return 1
