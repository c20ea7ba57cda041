-- verify: the same question as renew, and nothing is written (behind the fence): a
-- leader that renewed whenever it is told of a change of the lock would change the
-- lock, and be told.
-- KEYS 1 lock, 2 term
-- ARGV 1 holder, 2 epoch, 3 nonce
-- result as of renew
return {1, ARGV[1], ARGV[2], whole(redis.call('PTTL', KEYS[1])), whole(now), '', redis.call('HGET', KEYS[2], 'resign') or ''}
