--[[
  Would a hold be refused, whatever the call costs? Asked before a large body is read.

  It admits nothing: the hold decides.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] least           tokens that any such call costs
  ARGV[4] ledger_size     entries that are kept
  Returns {status, tokens_left, limit, window, remaining, reset_ms, retry_after_ms}
    OK
    UNKNOWN_KEY     {status} alone
    RATE_LIMITED
    TOO_MANY_HOLDS  retry_after_ms until one is past its deadline
    NO_TOKENS
]]
local user_key, rate_key, ledger_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, least, ledger_size = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end

local rate = read_rate(rate_key, user.rateLimit, user.rateLimitWindow * 1000, now)
local function reply(status, retry_after_ms)
  return {status, user.tokensLeft, user.rateLimit, user.rateLimitWindow, rate.remaining, rate.reset_ms,
          retry_after_ms}
end
if rate.remaining == 0 then return reply(RATE_LIMITED, rate.retry_after_ms) end
local holds_wait_ms = wait_for_a_hold_ms(user, now)
if holds_wait_ms > 0 then return reply(TOO_MANY_HOLDS, holds_wait_ms) end
if user.tokensLeft < least then return reply(NO_TOKENS, 0) end
return reply(OK, 0)
