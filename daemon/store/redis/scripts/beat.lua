-- beat: note that a member lives. Members that have been silent for an hour are
-- forgotten.
-- KEYS 1 members, 2 control
-- ARGV 1 id, 2 entry (JSON), 3 ms after which a silent member is forgotten, "0" for
--      not looking
-- result {now ms, the fields of control}
redis.call('HSET', KEYS[1], ARGV[1], whole(now) .. ' ' .. ARGV[2])
if ARGV[3] ~= '0' then
  for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
    if now - seen(KEYS[1], id) > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], id) end
  end
end
return {whole(now), redis.call('HGETALL', KEYS[2])}
