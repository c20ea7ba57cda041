-- resign: ask the present term to hand over. The holder sees it at once by the
-- hint, and with its next renewal otherwise.
-- KEYS 1 lock, 2 term
-- ARGV 1 holder, 2 epoch, 3 reason, 4 channel of the hints
-- result {1 asked | 0 not as expected, holder, epoch}
local present = redis.call('GET', KEYS[1]) or ''
local term = redis.call('HMGET', KEYS[2], 'holder', 'epoch')
if present == '' or present ~= ARGV[1] or term[1] ~= present or term[2] ~= ARGV[2] then
  return {0, present, term[1] == present and term[2] or '0'}
end
redis.call('HSET', KEYS[2], 'resign', ARGV[3])
tell(ARGV[4], 'resign', tonumber(ARGV[2]))
return {1, present, term[2]}
