--[[
  Remove a restricted key; it is refused from then on. Its open calls come to their end.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  KEYS[3] keys    hash    the user's restricted keys
  ARGV[1] tenant
  ARGV[2] api_key         '' when an administrator asks
  ARGV[3] key_id
  ARGV[4] ledger_size     entries that are kept
  Returns {status}
    OK
    UNKNOWN_KEY     no such user, or it does not have that API key
    ABSENT          the user has no such restricted key
]]
local user_key, ledger_key, keys_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, key_id, ledger_size = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now_ms())
if not user then return {UNKNOWN_KEY} end
if not call('HGET', keys_key, key_id) then return {ABSENT} end
if new_entries then save() end -- before all else, as base.lua says
call('HDEL', keys_key, key_id, key_id .. ':spent')
return {OK}
