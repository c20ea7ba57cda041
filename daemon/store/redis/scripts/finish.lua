-- finish: end a claim. A claim that is not the newest has no effect.
-- KEYS 1 outbox, 2 delayed, 3 dead, 4 open, 5 delivery
-- ARGV 1 group, 2 id, 3 claim, 4 state, 5 error, 6 due ms, 7 unsent 0|1, 8 repeat 0|1, 9 now ms
-- result 1, or 0 when the claim is over
local d = redis.pcall('HMGET', KEYS[5], 'state', 'claim', 'entry', 'attempts', 'tries', 'orphan')
if d['err'] or d[1] ~= 'sending' or d[2] ~= ARGV[3] then return 0 end
for i, kind in ipairs({'stream', 'zset', 'stream', 'zset'}) do
  local found = redis.call('TYPE', KEYS[i])['ok']
  if found ~= 'none' and found ~= kind then return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is not a ' .. kind) end
end
local attempts = tonumber(d[4] or '') or 1
if ARGV[7] == '1' then attempts = attempts - 1 end
redis.call('XACK', KEYS[1], ARGV[1], d[3])
redis.call('XDEL', KEYS[1], d[3])
redis.call('HDEL', KEYS[5], 'claim', 'entry')
redis.call('HSET', KEYS[5], 'state', ARGV[4], 'attempts', string.format('%.0f', attempts))
if ARGV[8] == '1' then redis.call('HSET', KEYS[5], 'repeat', '1') end
if ARGV[4] ~= 'sent' then
  local tries = (d[5] or '') .. ARGV[9] .. ' ' .. ARGV[5] .. '\n'
  if #tries > 8192 then tries = string.sub(tries, -8192) end
  redis.call('HSET', KEYS[5], 'lastError', ARGV[5], 'tries', tries)
end
if ARGV[4] == 'retrying' then
  redis.call('ZADD', KEYS[2], ARGV[6], ARGV[2])
  return 1
end
if ARGV[4] == 'dead' then
  local letter = redis.call('HMGET', KEYS[5], 'channel', 'event', 'firstAt', 'repeat', 'tries')
  redis.call('XADD', KEYS[3], '*', 'id', ARGV[2], 'channel', letter[1] or '', 'event', letter[2] or '',
    'attempts', string.format('%.0f', attempts), 'firstAt', letter[3] or '0', 'error', ARGV[5],
    'repeat', letter[4] or '0', 'tries', letter[5] or '', 'at', ARGV[9])
end
redis.call('ZREM', KEYS[4], ARGV[2])
if d[6] then redis.call('DEL', KEYS[5]) end
return 1
