-- activate: enable or disable an alert, and raise its revision when that changes
-- anything. Of an unknown alert it creates nothing.
-- KEYS 1 alert, 2 changes
-- ARGV 1 id, 2 active 0|1, 3 now ms, 4 length of the changes, 5 nonce
-- result the alert's fields and values, or 0 when there is no such alert
if redis.call('TYPE', KEYS[1])['ok'] ~= 'hash' or redis.call('HEXISTS', KEYS[1], 'json') == 0 then return 0 end
if redis.call('HGET', KEYS[1], 'active') ~= ARGV[2] then
  local rev = tonumber(redis.call('HGET', KEYS[1], 'rev') or '') or 1
  redis.call('HSET', KEYS[1], 'active', ARGV[2], 'rev', string.format('%.0f', rev + 1), 'updatedAt', ARGV[3])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'id', ARGV[1], 'op', 'active', 'by', ARGV[5])
end
return redis.call('HGETALL', KEYS[1])
