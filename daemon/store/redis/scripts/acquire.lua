-- acquire: take the lease when nobody holds it. Repeated with the same nonce it
-- answers as it did the first time.
-- KEYS 1 lock, 2 term, 3 members
-- ARGV 1 holder, 2 nonce, 3 lease ms, 4 floor of the epoch, 5 ms for which a
--      member with a heartbeat counts as alive, 6 channel of the hints, 7 version
-- result {held 0|1, holder, epoch, remaining ms, now ms, the holder's entry}
local lease = tonumber(ARGV[3])
local term = redis.call('HMGET', KEYS[2], 'holder', 'epoch', 'nonce', 'state', 'until', 'renewed')
local epoch = tonumber(term[2] or '') or 0
local present = redis.call('GET', KEYS[1])
local function answer(held, holder, number, remaining)
  local entry = ''
  if held == 0 and holder ~= '' then
    entry = redis.pcall('HGET', KEYS[3], holder)
    if type(entry) ~= 'string' then entry = '' end
  end
  return {held, holder, whole(number), whole(remaining), whole(now), entry}
end

if present then
  local remaining = redis.call('PTTL', KEYS[1])
  if remaining < 0 then remaining = lease end -- set by hand, without an end
  if present == ARGV[1] and term[1] == ARGV[1] and term[3] == ARGV[2] then
    redis.call('HSET', KEYS[2], 'nonce', ARGV[2]) -- WAIT counts only what this connection wrote
    return answer(1, present, epoch, remaining)
  end
  if term[1] ~= present then epoch = 0 end
  return answer(0, present, epoch, remaining)
end

-- The lock was deleted under a holder who seems to be alive: tell it, and wait
-- until it has stopped and said so (release), or has been silent for too long.
if term[4] == 'held' and term[3] ~= ARGV[2] then
  local over = tonumber(term[5] or '') or 0
  local heard = math.max(tonumber(term[6] or '') or 0, seen(KEYS[3], term[1] or ''))
  over = math.min(over, heard + tonumber(ARGV[5]))
  if now < over then
    tell(ARGV[6], 'deposed', epoch)
    return answer(0, term[1] or '', epoch, over - now)
  end
end

-- Without a term a server that has just started may have lost it, and its holder
-- may still believe: let a lease go by. The server's uptime is a difference of whole
-- seconds, so it may say a second too much.
if not term[2] then
  local info = redis.pcall('INFO', 'server')
  if type(info) == 'string' then
    local up = tonumber(string.match(info, 'uptime_in_seconds:(%d+)') or '')
    local sure = up and math.max(0, up - 1) * 1000
    if sure and sure < lease then return answer(0, '', 0, lease - sure) end
  end
end

epoch = math.max(epoch + 1, now, tonumber(ARGV[4]) + 1)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'holder', ARGV[1], 'epoch', whole(epoch), 'nonce', ARGV[2],
  'state', 'held', 'since', whole(now), 'until', whole(now + lease), 'renewed', whole(now),
  'progress', whole(now), 'version', ARGV[7])
tell(ARGV[6], 'acquired', epoch)
return answer(1, ARGV[1], epoch, lease)
