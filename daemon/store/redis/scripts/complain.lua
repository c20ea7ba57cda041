-- complain: note why an alert cannot be evaluated, or that it can (behind the
-- fence). Another revision of the alert is left alone.
-- KEYS 1 lock, 2 term, 3 alert
-- ARGV 1 holder, 2 epoch, 3 nonce, 4 revision, 5 text
-- result 1 when written, else 0
if redis.call('TYPE', KEYS[3])['ok'] ~= 'hash' or redis.call('HEXISTS', KEYS[3], 'json') == 0 then return 0 end
if (redis.call('HGET', KEYS[3], 'rev') or '1') ~= ARGV[4] then return 0 end
if (redis.call('HGET', KEYS[3], 'lastError') or '') == ARGV[5] then return 0 end
redis.call('HSET', KEYS[3], 'lastError', ARGV[5])
return 1
