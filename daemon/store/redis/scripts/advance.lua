-- advance: raise watermarks (behind the fence). One that stands higher stays.
-- KEYS 1 lock, 2 term, 3 watermark
-- ARGV 1 holder, 2 epoch, 3 nonce, then for each series: name, bar
-- result the number raised
local raised = 0
for i = 4, #ARGV, 2 do
  local bar = tonumber(redis.call('HGET', KEYS[3], ARGV[i]) or '')
  if not bar or bar < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
    raised = raised + 1
  end
end
return raised
