-- promote: put deliveries whose time has come back into the outbox.
-- KEYS 1 outbox, 2 delayed, then one delivery per id
-- ARGV 1 now ms, then the ids
-- result the number moved
local moved = 0
for i = 2, #ARGV do
  local due = redis.call('ZSCORE', KEYS[2], ARGV[i])
  if due and tonumber(due) <= tonumber(ARGV[1]) then
    redis.call('ZREM', KEYS[2], ARGV[i])
    local d = redis.pcall('HMGET', KEYS[i + 1], 'state', 'channel')
    if d[1] == 'retrying' then
      local entry = redis.call('XADD', KEYS[1], '*', 'id', ARGV[i], 'channel', d[2] or '')
      redis.call('HSET', KEYS[i + 1], 'entry', entry)
      moved = moved + 1
    end
  end
end
return moved
