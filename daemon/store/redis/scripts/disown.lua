-- disown: take an alert that cannot be read out of the index, and move what there is
-- of it aside, while it is as it was seen. Its events are noted as fallen, so that
-- their deliveries are forgotten once they are over.
-- KEYS 1 index, 2 alert, 3 events, 4 seen, 5 changes, 6 fallen, then where 2, 3, 4 go
-- ARGV 1 do it 0|1, 2 id, 3 type of the alert seen, 4 it had json 0|1, 5 that json,
--      6 length of the changes, 7 nonce
-- result 1 as seen (and done), 0 changed meanwhile, -1 a place is taken
local found = redis.call('TYPE', KEYS[2])['ok']
if found ~= ARGV[3] then return 0 end
if found == 'hash' then
  local json = redis.call('HGET', KEYS[2], 'json')
  if (json and '1' or '0') ~= ARGV[4] or json and json ~= ARGV[5] then return 0 end
end
local function kind(key) return redis.call('TYPE', key)['ok'] end
local listed = kind(KEYS[1]) == 'set' and redis.call('SISMEMBER', KEYS[1], ARGV[2]) == 1
local something = listed
for i = 2, 4 do
  if kind(KEYS[i]) ~= 'none' then
    something = true
    if redis.call('EXISTS', KEYS[i + 5]) == 1 then return -1 end
  end
end
if not something then return 0 end
if ARGV[1] ~= '1' then return 1 end
if listed then redis.call('SREM', KEYS[1], ARGV[2]) end
if kind(KEYS[3]) == 'list' and (kind(KEYS[6]) == 'list' or kind(KEYS[6]) == 'none') then
  for _, event in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do redis.call('RPUSH', KEYS[6], event) end
end
for i = 2, 4 do
  if kind(KEYS[i]) ~= 'none' then redis.call('RENAME', KEYS[i], KEYS[i + 5]) end
end
if kind(KEYS[5]) == 'stream' or kind(KEYS[5]) == 'none' then
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[6], '*', 'id', ARGV[2], 'op', 'delete', 'by', ARGV[7])
end
return 1
