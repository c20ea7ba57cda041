-- renew: extend the term (behind the fence).
-- KEYS 1 lock, 2 term
-- ARGV 1 holder, 2 epoch, 3 nonce, 4 lease ms
-- result {1, holder, epoch, remaining ms, now ms}
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('HSET', KEYS[2], 'state', 'held', 'until', string.format('%.0f', now + tonumber(ARGV[4])),
  'renewed', string.format('%.0f', now))
return {1, ARGV[1], ARGV[2], ARGV[4], string.format('%.0f', now)}
