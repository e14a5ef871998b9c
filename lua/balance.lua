--[[
  Read a user's balance, limits and expiry.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] api_key         '' when an administrator asks
  ARGV[3] ledger_size     entries that are kept
  Returns {status, group, tokens_left, tokens_held, tokens_used, limit, window, remaining,
           created_at, {expires_at_ms}}, the last empty when the user is permanent
    OK
    UNKNOWN_KEY     {status} alone: no such user, or it does not have that key
]]
local user_key, rate_key, ledger_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, ledger_size = ARGV[1], ARGV[2], tonumber(ARGV[3])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end
local rate = read_rate(rate_key, user.rateLimit, user.rateLimitWindow * 1000, now)
return {OK, user.group, user.tokensLeft, held(user), user.tokensUsed, user.rateLimit, user.rateLimitWindow,
        rate.remaining, user.createdAt, expiry(user_key)}
