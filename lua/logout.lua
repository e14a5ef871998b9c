--[[
  Remove an API key from its user, or all that the user has, restricted ones too; they are refused
  from then on. The caller removes their records, also that of the key it came with after
  UNKNOWN_KEY, since whoever removed that from its user may have died then.

  KEYS[1] user     string  the user, JSON
  KEYS[2] ledger   list    entries, newest first
  KEYS[3] account  hash    what is known of its logins
  KEYS[4] keys     hash    the user's restricted keys
  ARGV[1] tenant
  ARGV[2] api_key         '' for all of them, whoever asks
  ARGV[3] everywhere      1: all of them; 0
  ARGV[4] ledger_size     entries that are kept
  Returns {status, {api_key, ...}}: those that were removed
    OK
    UNKNOWN_KEY   {status} alone: the user does not have that key
    UNKNOWN_USER  {status} alone: there is none in this tenant
]]
local user_key, ledger_key, account_key, keys_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, api_key, everywhere = ARGV[1], ARGV[2], ARGV[3] == '1'
local ledger_size = tonumber(ARGV[4])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user then return {UNKNOWN_USER} end
if api_key ~= '' and not has_key(user, api_key, now) then return {UNKNOWN_KEY} end
local has_account, removed = next(read_account(account_key)), {}
for key in pairs(user.apiKeys) do
  if everywhere or key == api_key then removed[#removed + 1] = key end
end
for _, key in ipairs(removed) do user.apiKeys[key] = nil end
save()
if everywhere then call('DEL', keys_key) end
-- That of an anonymous user is not begun for this: it would have to expire with the user.
if has_account then note_ended(account_key, removed, now) end
return {OK, removed}
