-- claim: begin an attempt of each entry that this consumer was given. Repeated with
-- the same nonce it gives the same answer and counts nothing. An entry that another
-- consumer took over meanwhile is left to it; one whose delivery is over, or is not
-- there, is removed.
-- KEYS 1 outbox, then one delivery per entry
-- ARGV 1 group, 2 consumer, 3 nonce, 4 now ms, then the entries
-- result for each claimed: {id, channel, event, attempts, firstAt, lastError, repeat}
local claimed = {}
for i = 5, #ARGV do
  local key, entry = KEYS[i - 3], ARGV[i]
  local given = redis.call('XPENDING', KEYS[1], ARGV[1], entry, entry, 1)[1]
  local d = redis.pcall('HMGET', key, 'state', 'entry', 'claim', 'attempts', 'firstAt')
  if given and given[2] == ARGV[2] then
    if d['err'] or not d[1] or d[1] == 'sent' or d[1] == 'dead' or d[2] ~= entry then
      redis.call('XACK', KEYS[1], ARGV[1], entry)
      redis.call('XDEL', KEYS[1], entry)
    else
      if d[3] ~= ARGV[3] then
        if d[1] == 'sending' then redis.call('HSET', key, 'repeat', '1') end
        if (d[5] or '0') == '0' then redis.call('HSET', key, 'firstAt', ARGV[4]) end
        local attempts = (tonumber(d[4] or '') or 0) + 1
        redis.call('HSET', key, 'state', 'sending', 'claim', ARGV[3], 'attempts', string.format('%.0f', attempts))
      end
      claimed[#claimed + 1] = redis.call('HMGET', key, 'id', 'channel', 'event', 'attempts', 'firstAt', 'lastError', 'repeat')
    end
  end
end
return claimed
