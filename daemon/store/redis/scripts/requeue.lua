-- requeue: put a delivery that is open and that no relay will find back into the
-- outbox, and into the open ones. One that may have been sent stays 'sending', so
-- that its next claim is marked as a repeat.
-- KEYS 1 outbox, 2 delayed, 3 open, 4 delivery
-- ARGV 1 do it 0|1, 2 group, 3 delivery id
-- result 0 nothing is wrong, 1 it was not in the outbox, 2 only not among the open ones
for i, kind in ipairs({'stream', 'zset', 'zset'}) do
  local found = redis.call('TYPE', KEYS[i])['ok']
  if found ~= 'none' and found ~= kind then return 0 end
end
local d = redis.pcall('HMGET', KEYS[4], 'state', 'entry', 'channel', 'at')
if d['err'] or d[1] ~= 'pending' and d[1] ~= 'sending' and d[1] ~= 'retrying' then return 0 end

-- An entry waits for a relay when it is pending, or not yet given to the group.
local function number(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms) or 0, tonumber(n) or 0
end
local function waits(entry)
  if #redis.call('XRANGE', KEYS[1], entry, entry) == 0 then return false end
  local given = redis.pcall('XPENDING', KEYS[1], ARGV[2], entry, entry, 1)
  if given['err'] then return true end -- no group yet: it will begin at the start
  if #given > 0 then return true end
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local info = {}
    for i = 1, #g, 2 do info[g[i]] = g[i + 1] end
    if info['name'] == ARGV[2] then
      local em, en = number(entry)
      local lm, ln = number(info['last-delivered-id'])
      return em > lm or em == lm and en > ln
    end
  end
  return true
end

local placed = d[1] == 'retrying' and redis.call('ZSCORE', KEYS[2], ARGV[3])
local has = d[2] and string.match(d[2], '^%d+%-%d+$')
if not placed and has then placed = waits(d[2]) end
local open = redis.call('ZSCORE', KEYS[3], ARGV[3])
if placed and open then return 0 end
if ARGV[1] == '1' then
  if not placed then
    if has then redis.call('XDEL', KEYS[1], d[2]) end
    local entry = redis.call('XADD', KEYS[1], '*', 'id', ARGV[3], 'channel', d[3] or '')
    redis.call('HSET', KEYS[4], 'entry', entry)
  end
  if not open then redis.call('ZADD', KEYS[3], tonumber(d[4] or '') or 0, ARGV[3]) end
end
return placed and 2 or 1
