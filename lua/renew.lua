--[[
  Move on when a temporary user expires that is used. A key must not expire before its user: so this
  is asked first, what it answers is done with the keys, and then it is asked again.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] ttl_ms          from now
  ARGV[3] least_ms        one that lives for as long is not renewed
  ARGV[4] expires_at_ms   what was answered first, 0 before that
  ARGV[5] keys            API keys that expire no earlier, JSON
  ARGV[6] ledger_size     entries that are kept
  Returns {status, expires_at_ms, {api_key, ...}}, the last two only with KEYS_EXPIRE
    OK              it is done, or need not be: the user is permanent, has just been renewed, or
                    has never spent and lives for a day
    UNKNOWN_USER
    KEYS_EXPIRE     these may expire earlier than the user is to
]]
local user_key, ledger_key = KEYS[1], KEYS[2]
local tenant, ttl_ms, least_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local expires_at_ms, keys, ledger_size = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user then return {UNKNOWN_USER} end
local present = expiry(user_key)[1]
if not present or present - now >= least_ms or user.keyExpiresAt then return {OK} end

if expires_at_ms == 0 then expires_at_ms = now + ttl_ms end
local expiring = keys_beside(lasting_keys(user, now), keys)
if #expiring > 0 then return {KEYS_EXPIRE, expires_at_ms, expiring} end
expires_at = math.max(expires_at_ms, present)
save()
return {OK}
