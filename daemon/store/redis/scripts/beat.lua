-- beat: note that a member lives, and say who leads. Members that have been silent
-- for an hour are forgotten.
-- KEYS 1 members, 2 control, 3 lock, 4 term
-- ARGV 1 id, 2 entry (JSON), 3 ms after which a silent member is forgotten, "0" for
--      not looking
-- result {now ms, the fields of control, holder, epoch, remaining ms}
redis.call('HSET', KEYS[1], ARGV[1], whole(now) .. ' ' .. ARGV[2])
if ARGV[3] ~= '0' then
  for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
    if now - seen(KEYS[1], id) > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], id) end
  end
end
local holder, epoch = redis.pcall('GET', KEYS[3]), '0'
if type(holder) ~= 'string' then holder = '' end
local term = redis.pcall('HMGET', KEYS[4], 'holder', 'epoch')
if not term['err'] and holder ~= '' and term[1] == holder then epoch = term[2] or '0' end
local control = redis.pcall('HGETALL', KEYS[2])
if control['err'] then control = {} end
return {whole(now), control, holder, epoch, whole(math.max(0, redis.call('PTTL', KEYS[3])))}
