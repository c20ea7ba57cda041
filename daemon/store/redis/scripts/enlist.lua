-- enlist: put an alert that can be read back into the index.
-- KEYS 1 index, 2 alert, 3 changes
-- ARGV 1 do it 0|1, 2 id, 3 length of the changes, 4 nonce
-- result 1 as seen (and done), 0 changed meanwhile
local index = redis.call('TYPE', KEYS[1])['ok']
if index ~= 'set' and index ~= 'none' then return 0 end
if redis.call('TYPE', KEYS[2])['ok'] ~= 'hash' or redis.call('HEXISTS', KEYS[2], 'json') == 0 then return 0 end
if redis.call('SISMEMBER', KEYS[1], ARGV[2]) == 1 then return 0 end
if ARGV[1] ~= '1' then return 1 end
redis.call('SADD', KEYS[1], ARGV[2])
local changes = redis.call('TYPE', KEYS[3])['ok']
if changes == 'stream' or changes == 'none' then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[2], 'op', 'create', 'by', ARGV[4])
end
return 1
