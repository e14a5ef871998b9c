--[[
  Remove an API key from its user; it is refused from then on. The caller removes the key's own
  record, also after UNKNOWN_KEY, since whoever removed the key from its user may have died then.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] ledger_size     entries that are kept
  Returns {status}
    OK
    UNKNOWN_KEY     the user does not have that key
    UNKNOWN_USER    there is none in this tenant
]]
local user_key, ledger_key = KEYS[1], KEYS[2]
local tenant, api_key, ledger_size = ARGV[1], ARGV[2], tonumber(ARGV[3])

local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now_ms())
if not user then return {UNKNOWN_USER} end
if user.apiKeys[api_key] == nil then return {UNKNOWN_KEY} end
user.apiKeys[api_key] = nil
save()
return {OK}
