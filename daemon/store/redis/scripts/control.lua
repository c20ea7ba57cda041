-- control: pause or resume the fleet. What is so already is left alone.
-- KEYS 1 control
-- ARGV 1 "1" pause | "0" resume, 2 by, 3 reason, 4 expected version, "" for any,
--      5 channel of the hints
-- result {1 changed | 2 was so | 0 another version, the fields of control}
local c = redis.call('HMGET', KEYS[1], 'paused', 'version')
local version = tonumber(c[2] or '') or 0
local code = 1
if ARGV[4] ~= '' and tonumber(ARGV[4]) ~= version then
  code = 0
elseif (c[1] or '0') == ARGV[1] then
  code = 2
else
  redis.call('HSET', KEYS[1], 'paused', ARGV[1], 'by', ARGV[2], 'reason', ARGV[3],
    'changedAt', whole(now), 'version', whole(version + 1))
  if ARGV[1] == '0' then redis.call('HSET', KEYS[1], 'resumedAt', whole(now)) end
  tell(ARGV[5], 'control', version + 1)
end
return {code, redis.call('HGETALL', KEYS[1])}
