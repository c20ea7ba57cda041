-- trigger: write events with their deliveries, all or nothing for each event
-- (behind the fence). A known event is left alone, whatever became of its alert
-- since, so that a repeated call answers and writes nothing.
-- KEYS 1 lock, 2 term, 3 outbox, 4 open, 5 changes, 6 fallen,
--      then for each event: alert, events, seen, and one delivery per channel
-- ARGV 1 holder, 2 epoch, 3 nonce, 4 now ms, 5 history kept, 6 ids remembered,
--      7 length of the changes, 8 number of events,
--      then for each event: id, alert id, revision, mode, time ms, json, number of
--      channels, and for each channel: delivery id, channel
-- result {results: 0 damaged, 1 accepted, 2 duplicate, 3 gone; the number of events
--      that fell out of a history and whose deliveries are to be swept}
local now, keep = ARGV[4], tonumber(ARGV[5])
local results = {}
local function is(key, kind)
  local found = redis.call('TYPE', key)['ok']
  return found == 'none' or found == kind
end

-- A script is not undone when it fails half way, so it looks first.
for i, kind in ipairs({'stream', 'zset', 'stream', 'list'}) do
  if not is(KEYS[i + 2], kind) then return redis.error_reply('WRONGTYPE ' .. KEYS[i + 2] .. ' is not a ' .. kind) end
end

local function judge(alert, events, seen, id, rev)
  if not (is(alert, 'hash') and is(events, 'list') and is(seen, 'zset')) then return 0 end
  if redis.call('ZSCORE', seen, id) then return 2 end
  local a = redis.call('HMGET', alert, 'json', 'active', 'rev')
  if not a[1] or a[2] == '0' or (a[3] or '1') ~= rev then return 3 end
  return 1
end

local function remember(events, seen, id, json)
  redis.call('ZADD', seen, now, id)
  redis.call('ZREMRANGEBYRANK', seen, 0, -(tonumber(ARGV[6]) + 1))
  redis.call('LPUSH', events, json)
  for _, old in ipairs(redis.call('LRANGE', events, keep, -1)) do redis.call('RPUSH', KEYS[6], old) end
  redis.call('LTRIM', events, 0, keep - 1)
end

local function mark(alert, alertID, id, mode, time)
  local last = tonumber(redis.call('HGET', alert, 'lastTriggeredAt') or '') or 0
  if tonumber(time) > last then redis.call('HSET', alert, 'lastTriggeredAt', time) end
  local count = tonumber(redis.call('HGET', alert, 'triggerCount') or '') or 0
  redis.call('HSET', alert, 'triggerCount', string.format('%.0f', count + 1))
  if mode == 'once' then
    redis.call('HSET', alert, 'active', '0', 'updatedAt', now)
    redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[7], '*', 'id', alertID, 'op', 'once', 'by', id)
  end
end

local k, a = 7, 9
for i = 1, tonumber(ARGV[8]) do
  local alert, events, seen = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local id, alertID, rev, mode, time, json = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local channels = tonumber(ARGV[a + 6])
  k, a = k + 3, a + 7
  results[i] = judge(alert, events, seen, id, rev)
  if results[i] == 1 then
    remember(events, seen, id, json)
    mark(alert, alertID, id, mode, time)
    for c = 0, channels - 1 do
      local key, delivery, channel = KEYS[k + c], ARGV[a + 2 * c], ARGV[a + 2 * c + 1]
      local entry = redis.call('XADD', KEYS[3], '*', 'id', delivery, 'channel', channel)
      redis.call('DEL', key)
      redis.call('HSET', key, 'id', delivery, 'channel', channel, 'event', json, 'state', 'pending',
        'attempts', '0', 'firstAt', '0', 'at', time, 'entry', entry)
      redis.call('ZADD', KEYS[4], time, delivery)
    end
  end
  k, a = k + channels, a + 2 * channels
end
return {results, redis.call('LLEN', KEYS[6])}
