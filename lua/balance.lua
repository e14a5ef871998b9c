--[[
  Read a user's balance, limits and expiry; of a restricted key its own tokens and expiry.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] ledger  list    entries, newest first
  KEYS[4] keys    hash    the user's restricted keys
  KEYS[5] account hash    what is known of its logins, and of what it has bought
  ARGV[1] tenant
  ARGV[2] api_key         a restricted one as rk:<digest>; '' when an administrator asks
  ARGV[3] ledger_size     entries that are kept
  Returns {status, group, tokens_left, tokens_extra, tokens_held, tokens_used, limit, window,
           remaining, created_at, {expires_at_ms}, subscription}: tokens_extra of those left and
           held were granted or bought beside the group's, 0 of a restricted key; {} when the user is
           permanent; subscription as plan.lua was told it, '' if no plan runs
    OK
    UNKNOWN_KEY     {status} alone: no such user, or it does not have that key
]]
local user_key, rate_key, ledger_key, keys_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local account_key = KEYS[5]
local tenant, api_key, ledger_size = ARGV[1], ARGV[2], tonumber(ARGV[3])

local now = now_ms()
local key = open_key(keys_key, api_key, now)
local user = read_user(user_key, ledger_key, ledger_size, tenant, key and key.maker or api_key, now)
if not user then return {UNKNOWN_KEY} end
local rate = read_rate(rate_key, user.rateLimit, user.rateLimitWindow * 1000, now)
local left, in_holds, used = user.tokensLeft, held(user, key and key.id), user.tokensUsed
local extra, expires = extra_left(user), expiry(user_key)
if key then
  extra = 0
  left, used = math.max(key.tokens - key.spent - in_holds, 0), key.spent
  expires = {math.min(key.expiresAt, expires[1] or key.expiresAt)}
end
return {OK, user.group, left, extra, in_holds, used, user.rateLimit, user.rateLimitWindow,
        rate.remaining, user.createdAt, expires,
        user.plan and call('HGET', account_key, 'subscription') or ''}
