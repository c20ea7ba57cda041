-- delete: remove an alert with its history, damaged or not. What is on its way to
-- a receiver stays. A repeat finds its own nonce among the newest changes.
-- KEYS 1 index, 2 alert, 3 events, 4 seen, 5 changes, 6 fallen
-- ARGV 1 id, 2 length of the changes, 3 nonce
-- result the number of events whose deliveries are to be swept, or -1 when there
--      is no such alert
local known = redis.call('SREM', KEYS[1], ARGV[1]) + redis.call('EXISTS', KEYS[2])
if known == 0 then
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 16)) do
    if entry[2][6] == ARGV[3] then return redis.call('LLEN', KEYS[6]) end
  end
  return -1
end
if redis.call('TYPE', KEYS[3])['ok'] == 'list' then
  for _, event in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do redis.call('RPUSH', KEYS[6], event) end
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[2], '*', 'id', ARGV[1], 'op', 'delete', 'by', ARGV[3])
return redis.call('LLEN', KEYS[6])
