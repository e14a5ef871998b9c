--[[
  What a charge or a hold would be answered, of which nothing is admitted or taken: asked before
  a tenant's limit is, of which a request that is refused or repeated must take nothing.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] once    hash    replies kept for Idempotency-Keys
  KEYS[4] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] tokens          the least that it must take or hold
  ARGV[4] once_field      the hashed Idempotency-Key, or '' for none
  ARGV[5] old_once_field  as servers before this one hashed it
  ARGV[6] fingerprint     as the script of the charge or hold keeps it
  ARGV[7] ledger_size     entries that are kept
  Returns {status, tokens_left, limit, window, remaining, reset_ms, retry_after_ms}
    OK
    REPLAYED        the script itself has the first reply
    UNKNOWN_KEY     {status} alone
    KEY_REUSED      the Idempotency-Key came with another fingerprint
    RATE_LIMITED
    NO_TOKENS
]]
local user_key, rate_key, once_key, ledger_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, api_key, tokens = ARGV[1], ARGV[2], tonumber(ARGV[3])
local once_field, old_once_field = ARGV[4], ARGV[5]
local fingerprint, ledger_size = ARGV[6], tonumber(ARGV[7])

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end

local rate = read_rate(rate_key, user.rateLimit, user.rateLimitWindow * 1000, now)
local function reply(status, retry_after_ms)
  return {status, user.tokensLeft, user.rateLimit, user.rateLimitWindow, rate.remaining,
          rate.reset_ms, retry_after_ms or 0}
end

local function unpack_reply() end -- the script itself has it
local replay = recall(once_key, once_field, old_once_field, fingerprint, unpack_reply, now)
if replay then return reply(replay) end
if rate.remaining == 0 then return reply(RATE_LIMITED, rate.retry_after_ms) end
if user.tokensLeft < tokens then return reply(NO_TOKENS) end
return reply(OK)
