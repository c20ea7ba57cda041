-- aside: move a key aside while it is as it was seen, and put members into a new
-- sorted set in its place.
-- KEYS 1 key, 2 where to
-- ARGV 1 do it 0|1, 2 type seen, 3 field looked at or '', 4 it was there 0|1,
--      5 its value, then pairs of score and member
-- result 1 as seen (and moved), 0 changed meanwhile, -1 the place is taken
if redis.call('TYPE', KEYS[1])['ok'] ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' then
  local v = redis.call('HGET', KEYS[1], ARGV[3])
  if (v and '1' or '0') ~= ARGV[4] or v and v ~= ARGV[5] then return 0 end
end
if redis.call('EXISTS', KEYS[2]) == 1 then return -1 end
if ARGV[1] == '1' then
  redis.call('RENAME', KEYS[1], KEYS[2])
  for i = 6, #ARGV, 2 do redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 1
