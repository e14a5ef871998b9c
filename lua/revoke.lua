--[[
  Remove an API key from its user; it is refused from then on.

  KEYS[1] user    string  the user, JSON
  ARGV[1] tenant
  ARGV[2] api_key
  Returns {status}
    OK
    UNKNOWN_KEY     no such user, or it does not have that key
]]
local user_key = KEYS[1]
local tenant, api_key = ARGV[1], ARGV[2]

local user = read_user(user_key, tenant, api_key)
if not user then return {UNKNOWN_KEY} end
user.apiKeys[api_key] = nil
write_user(user_key, user)
return {OK}
