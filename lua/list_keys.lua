--[[
  Read a user's restricted keys, those that are not dead.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  KEYS[3] keys    hash    the user's restricted keys
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] ledger_size     entries that are kept
  Returns {status, {{id, text, spent, held}, ...}}, text as the hash has it
    OK
    UNKNOWN_KEY     {status} alone
]]
local user_key, ledger_key, keys_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, ledger_size = ARGV[1], ARGV[2], tonumber(ARGV[3])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end
local found = {}
for i, key in ipairs((read_keys(keys_key, user, now))) do
  found[i] = {key.id, key.text, key.spent, held(user, key.id)}
end
return {OK, found}
