-- clock: stands before every script about the election. now is the server's clock
-- in ms; whole writes a number without an exponent; tell publishes a hint, which a
-- user without the right to publish may not: nothing depends on it.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function whole(n) return string.format('%.0f', n) end
local function tell(channel, what, epoch) redis.pcall('PUBLISH', channel, what .. ' ' .. whole(epoch)) end
-- seen is when a member sent its newest heartbeat, 0 for one that is not known.
local function seen(members, id)
  local m = redis.pcall('HGET', members, id)
  return type(m) == 'string' and tonumber(string.match(m, '^%d+') or '') or 0
end
