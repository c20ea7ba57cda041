-- release: end the term, or say that its work has stopped when the lock was lost
-- already. Of another's term it changes nothing. Not behind the fence, because
-- one who lost the lock must still be able to say that it stopped.
-- KEYS 1 lock, 2 term
-- ARGV 1 holder, 2 epoch, 3 nonce, 4 channel of the hints
-- result 1 when it was this term, else 0
local term = redis.pcall('HMGET', KEYS[2], 'holder', 'epoch', 'nonce')
if term[1] ~= ARGV[1] or term[2] ~= ARGV[2] or term[3] ~= ARGV[3] then return 0 end
if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[2], 'state', 'released', 'until', whole(now))
tell(ARGV[4], 'released', tonumber(ARGV[2]))
return 1
