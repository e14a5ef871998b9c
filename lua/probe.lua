--[[
  Run every command that the scripts use, on keys of its own, to see which of them are denied or
  unknown. It leaves nothing behind; keys that it may not delete expire.

  KEYS[1] text    string  does not exist
  KEYS[2] list    list    does not exist
  KEYS[3] hash    hash    does not exist
  KEYS[4] zset    zset    does not exist
  Returns {status, {command, ...}}, of a command that may be run but not on such a key, the key
    OK
]]
local text_key, list_key, hash_key, zset_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local denied = {}

-- Errors of other kinds say nothing of rights: Redis may be full, or a replica.
local function try(command, ...)
  local reply = redis.pcall(command, ...)
  local problem = type(reply) == 'table' and reply.err
  if not problem then return end
  if string.find(problem, 'access') then
    denied[#denied + 1] = (...)
  elseif string.find(problem, 'permission') or string.find(problem, "can't run")
    or string.find(problem, 'nknown') then
    denied[#denied + 1] = command
  end
end

try('TIME')
try('SET', text_key, '')
try('GET', text_key)
try('PERSIST', text_key)
try('PEXPIRE', text_key, 1000)
try('PEXPIRETIME', text_key)
try('PEXPIREAT', text_key, 1)
try('LPUSH', list_key, 1)
redis.pcall('PEXPIRE', list_key, 1000)
try('LINDEX', list_key, 0)
try('LLEN', list_key)
try('LRANGE', list_key, 0, 0)
try('LTRIM', list_key, 0, 0)
try('HSET', hash_key, 1, 1)
redis.pcall('PEXPIRE', hash_key, 1000)
try('HGET', hash_key, 1)
try('HGETALL', hash_key)
try('HLEN', hash_key)
try('HDEL', hash_key, 2)
try('ZADD', zset_key, 1, 1)
redis.pcall('PEXPIRE', zset_key, 1000)
try('ZRANGE', zset_key, 0, 0)
try('ZCARD', zset_key)
try('ZREM', zset_key, 2)
try('EXISTS', text_key)
for _, key in ipairs(KEYS) do try('DEL', key) end
return {OK, denied}
