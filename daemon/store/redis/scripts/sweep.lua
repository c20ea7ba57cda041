-- sweep: forget the deliveries of events that fell out of a history: at once when
-- they are over, else as soon as they are.
-- KEYS 1 fallen, then the deliveries
-- ARGV the events that they belong to
-- result the number forgotten
local forgotten = 0
for i = 2, #KEYS do
  local state = redis.pcall('HGET', KEYS[i], 'state')
  if state == 'sent' or state == 'dead' then
    redis.call('DEL', KEYS[i])
    forgotten = forgotten + 1
  elseif type(state) == 'string' then
    redis.call('HSET', KEYS[i], 'orphan', '1')
  end
end
for _, event in ipairs(ARGV) do redis.call('LREM', KEYS[1], 1, event) end
return forgotten
