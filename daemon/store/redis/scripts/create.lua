-- create: write a new alert. Repeated with the same nonce it succeeds again.
-- KEYS 1 index, 2 alert, 3 changes
-- ARGV 1 id, 2 nonce, 3 length of the changes, then the fields of the alert
-- result 1, or 0 when the id is taken
local kind = redis.call('TYPE', KEYS[2])['ok']
if kind ~= 'none' then
  if kind == 'hash' and redis.call('HGET', KEYS[2], 'made') == ARGV[2] then return 1 end
  return 0
end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], 'made', ARGV[2])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[1], 'op', 'create', 'by', ARGV[2])
return 1
