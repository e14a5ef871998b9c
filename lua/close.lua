--[[
  Begin to delete a user: all its keys are refused from now on, and no login gives it another.
  release.lua for each of its identities and bury.lua are the rest. May be done again.

  KEYS[1] user     string  the user, JSON
  KEYS[2] ledger   list    entries, newest first
  KEYS[3] account  hash    what is known of its logins
  KEYS[4] keys     hash    the user's restricted keys
  ARGV[1] tenant
  ARGV[2] api_key         '' when nobody's key is to be checked
  ARGV[3] ledger_size     entries that are kept
  Returns {status, {field, value, ...}}: of the account, with the keys whose records are to be removed
    OK
    UNKNOWN_KEY  {status} alone: no such user, or it does not have that key, or it was deleted
]]
local user_key, ledger_key, account_key, keys_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, api_key, ledger_size = ARGV[1], ARGV[2], tonumber(ARGV[3])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end
local ended = {}
read_account(account_key) -- of another type, before the first write
for key in pairs(user.apiKeys) do ended[#ended + 1] = key end
user.apiKeys, user.closing = {}, true
save()
call('DEL', keys_key)
note_ended(account_key, ended, now)
local expires = expiry(user_key)
if expires[1] then call('PEXPIREAT', account_key, expires[1]) end
return {OK, call('HGETALL', account_key)}
