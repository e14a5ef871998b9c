--[[
  Read a user's account.

  KEYS[1] user     string  the user, JSON
  KEYS[2] ledger   list    entries, newest first
  KEYS[3] account  hash    what is known of its logins
  ARGV[1] tenant
  ARGV[2] api_key         '' for a user whose identity was verified
  ARGV[3] ledger_size     entries that are kept
  Returns {status, group, keys, now_ms, {field, value, ...}}: how many keys the user has, and the
           fields of the account
    OK
    UNKNOWN_KEY  {status} alone: no such user, or it does not have that key
    CLOSING      {status} alone: the user is being deleted, or was
]]
local user_key, ledger_key, account_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, ledger_size = ARGV[1], ARGV[2], tonumber(ARGV[3])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if user and user.closing then return {CLOSING} end
if not user and api_key == '' and call('EXISTS', user_key) == 1 then return {CLOSING} end
if not user then return {UNKNOWN_KEY} end
local count = 0
for key in pairs(user.apiKeys) do
  if has_key(user, key, now) then count = count + 1 end
end
return {OK, user.group, count, now, call('HGETALL', account_key)}
