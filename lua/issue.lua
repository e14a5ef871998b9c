--[[
  Store an API key for a user that login.lua makes next: what is left when that fails is a key that
  opens nothing, and expires.

  KEYS[1] api_key  string  the user ID that the key belongs to
  ARGV[1] user_id
  ARGV[2] ttl_ms
  Returns {status, expires_at_ms}
    OK
]]
local api_key, user_id, ttl_ms = KEYS[1], ARGV[1], tonumber(ARGV[2])

local key_expires_at = now_ms() + ttl_ms
call('SET', api_key, user_id, 'PXAT', key_expires_at)
return {OK, key_expires_at}
