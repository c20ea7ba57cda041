-- renew: extend the term (behind the fence).
-- KEYS 1 lock, 2 term
-- ARGV 1 holder, 2 epoch, 3 nonce, 4 lease ms, 5 age of the work's progress ms
-- result {1, holder, epoch, remaining ms, now ms, '', why it is asked to resign}
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('HSET', KEYS[2], 'state', 'held', 'until', whole(now + tonumber(ARGV[4])), 'renewed', whole(now),
  'progress', whole(now - tonumber(ARGV[5])))
return {1, ARGV[1], ARGV[2], ARGV[4], whole(now), '', redis.call('HGET', KEYS[2], 'resign') or ''}
