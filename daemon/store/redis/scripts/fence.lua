-- fence: stands before every script that a leader runs. Any difference from the
-- term granted last ends the script without effect; so does a lock that nobody
-- holds. KEYS 1 lock, 2 term. ARGV 1 holder, 2 epoch, 3 nonce.
local fence = redis.pcall('HMGET', KEYS[2], 'epoch', 'nonce')
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] or fence[1] ~= ARGV[2] or fence[2] ~= ARGV[3] then
  return redis.error_reply('FENCED this term is over')
end
