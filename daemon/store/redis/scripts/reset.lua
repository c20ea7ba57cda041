-- reset: delete the lock while its holder and its epoch are the expected ones: an
-- operator's DEL that cannot hit a successor. The term stays held, so a holder that
-- lives stops before the next one starts; with proof that it is dead nobody waits.
-- KEYS 1 lock, 2 term
-- ARGV 1 holder, 2 epoch, 3 channel of the hints, 4 "1": the holder is known to be dead
-- result {1 deleted | 0 not as expected, type of the lock, holder, epoch}
local kind = redis.call('TYPE', KEYS[1])['ok']
local present = kind == 'string' and redis.call('GET', KEYS[1]) or ''
local term = redis.pcall('HMGET', KEYS[2], 'holder', 'epoch')
local epoch = '0'
if not term['err'] and term[1] == present then epoch = term[2] or '0' end
if kind == 'none' or present ~= ARGV[1] or epoch ~= ARGV[2] then return {0, kind, present, epoch} end
redis.call('DEL', KEYS[1])
if ARGV[4] == '1' and epoch ~= '0' then redis.call('HSET', KEYS[2], 'state', 'deposed') end
tell(ARGV[3], 'deposed', tonumber(epoch))
return {1, kind, present, epoch}
