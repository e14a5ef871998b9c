--[[
  Give a user another API key for the one that it came with, which works for a while longer: the
  answer may be lost. A login with the old one counts for the new one.

  A key must not expire before its user. So a permanent user gets it only when it is permanent.

  KEYS[1] user     string  the user, JSON
  KEYS[2] ledger   list    entries, newest first
  KEYS[3] account  hash    what is known of its logins
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] new_key         whose record expires later than the user, if that does
  ARGV[4] ttl_ms          how much longer the old one works
  ARGV[5] permanent       1: the new key's record is permanent; 0
  ARGV[6] ledger_size     entries that are kept
  Returns {status, old_expires_at_ms, {ended, ...}}: keys that were too many, whose records are to be
           removed
    OK
    KEYS_EXPIRE  {status} alone: the user is permanent, and the new key is not
    UNKNOWN_KEY  {status} alone: no such user, or it does not have that key
]]
local user_key, ledger_key, account_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, new_key = ARGV[1], ARGV[2], ARGV[3]
local ttl_ms, permanent, ledger_size = tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end
if not permanent and not expiry(user_key)[1] then return {KEYS_EXPIRE} end
local account, until_ms = read_account(account_key), now + ttl_ms
local login = account['key:' .. api_key]
if user.apiKeys[api_key] ~= true then until_ms = math.min(until_ms, user.apiKeys[api_key]) end
user.apiKeys[api_key], user.apiKeys[new_key] = until_ms, true
local ended = remove_surplus(user, account, new_key, api_key)
save()
if next(account) then
  note_ended(account_key, ended, now)
  call('HSET', account_key, 'ended:' .. api_key, until_ms)
end
if login then call('HSET', account_key, 'key:' .. new_key, login) end
return {OK, until_ms, ended}
