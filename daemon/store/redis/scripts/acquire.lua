-- acquire: take the lease when nobody holds it. Repeated with the same nonce it
-- answers as it did the first time.
-- KEYS 1 lock, 2 term
-- ARGV 1 holder, 2 nonce, 3 lease ms, 4 floor of the epoch, 5 ms for which a
--      holder that renewed counts as alive
-- result {held 0|1, holder, epoch, remaining ms, now ms}
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local function answer(held, holder, epoch, remaining)
  return {held, holder, string.format('%.0f', epoch), string.format('%.0f', remaining), string.format('%.0f', now)}
end
local lease = tonumber(ARGV[3])
local term = redis.call('HMGET', KEYS[2], 'holder', 'epoch', 'nonce', 'state', 'until', 'renewed')
local epoch = tonumber(term[2] or '') or 0
local present = redis.call('GET', KEYS[1])

if present then
  local remaining = redis.call('PTTL', KEYS[1])
  if remaining < 0 then remaining = lease end -- set by hand, without an end
  if present == ARGV[1] and term[1] == ARGV[1] and term[3] == ARGV[2] then
    return answer(1, present, epoch, remaining)
  end
  if term[1] ~= present then epoch = 0 end
  return answer(0, present, epoch, remaining)
end

-- The lock was deleted under a holder who seems to be alive: wait until it has
-- stopped and said so (release), or has been silent for too long.
if term[4] == 'held' and term[3] ~= ARGV[2] then
  local over = tonumber(term[5] or '') or 0
  local silent = (tonumber(term[6] or '') or 0) + tonumber(ARGV[5])
  if over > silent then over = silent end
  if now < over then return answer(0, term[1] or '', epoch, over - now) end
end

-- Without a term a server that has just started may have lost it, and its holder
-- may still believe: let a lease go by.
if not term[2] then
  local info = redis.pcall('INFO', 'server')
  if type(info) == 'string' then
    local up = tonumber(string.match(info, 'uptime_in_seconds:(%d+)') or '')
    if up and up * 1000 < lease then return answer(0, '', 0, lease - up * 1000) end
  end
end

local floor = tonumber(ARGV[4])
epoch = epoch + 1
if now > epoch then epoch = now end
if floor >= epoch then epoch = floor + 1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('HSET', KEYS[2], 'holder', ARGV[1], 'epoch', string.format('%.0f', epoch), 'nonce', ARGV[2],
  'state', 'held', 'since', string.format('%.0f', now), 'until', string.format('%.0f', now + lease),
  'renewed', string.format('%.0f', now))
return answer(1, ARGV[1], epoch, lease)
