-- pickout: move elements of a list, or entries of a stream, aside.
-- KEYS 1 list or stream, 2 where they go
-- ARGV 1 do it 0|1, then the elements, or the ids of the entries
-- result the number there (and moved), -1 when the place is taken
local kind = redis.call('TYPE', KEYS[1])['ok']
local place = redis.call('TYPE', KEYS[2])['ok']
if kind ~= 'list' and kind ~= 'stream' then return 0 end
if place ~= 'none' and place ~= kind then return -1 end
local n = 0
for i = 2, #ARGV do
  if kind == 'list' then
    if ARGV[1] ~= '1' then
      n = n + 1
    elseif redis.call('LREM', KEYS[1], 1, ARGV[i]) == 1 then
      redis.call('RPUSH', KEYS[2], ARGV[i])
      n = n + 1
    end
  else
    local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
    if entry then
      n = n + 1
      if ARGV[1] == '1' then
        redis.call('XADD', KEYS[2], '*', unpack(entry[2]))
        redis.call('XDEL', KEYS[1], ARGV[i])
      end
    end
  end
end
return n
