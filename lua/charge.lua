--[[
  Take tokens from a user's balance, when the cost is known.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] once    hash    replies kept for Idempotency-Keys
  KEYS[4] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] tokens
  ARGV[4] once_field      the hashed Idempotency-Key, or '' for none
  ARGV[5] old_once_field  as servers before this one hashed it
  ARGV[6] ledger_size     entries that are kept
  ARGV[7] ref             for the ledger, JSON
  Returns {status, tokens_left, limit, window, remaining, reset_ms, retry_after_ms, tokens_held},
           the last only with NO_TOKENS
    OK              now and then instead of it when the user expires, as prolong says
    REPLAYED        tokens_left is that of the first reply
    UNKNOWN_KEY     {status} alone
    KEY_REUSED      the Idempotency-Key came with other tokens
    RATE_LIMITED
    TOO_MANY_KEYS   retry_after_ms until an Idempotency-Key expires
    NO_TOKENS
]]
local user_key, rate_key, once_key, ledger_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, api_key, tokens, once_field = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local old_once_field, ledger_size, ref = ARGV[5], tonumber(ARGV[6]), ARGV[7]

if not is_amount(tokens) or tokens == 0 then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end

local window_ms = user.rateLimitWindow * 1000
local rate = read_rate(rate_key, user.rateLimit, window_ms, now)
local function reply(status, tokens_left, retry_after_ms, last)
  return {status, tokens_left, user.rateLimit, user.rateLimitWindow, rate.remaining, rate.reset_ms,
          retry_after_ms or 0, last}
end

local once = once_field ~= ''
  and open_once(once_key, once_field, old_once_field, tostring(tokens), now)
if once and once.status == KEY_REUSED then return reply(KEY_REUSED, user.tokensLeft) end
if once and once.status then
  local tokens_left = once.unpacked or (struct.unpack('>I6', once.packed))
  if not is_amount(tokens_left) then error('the kept reply is none') end
  return reply(REPLAYED, tokens_left)
end
if rate.remaining == 0 then return reply(RATE_LIMITED, user.tokensLeft, rate.retry_after_ms) end
local wait_ms = once and once.wait_ms(user.group) or 0
if wait_ms > 0 then return reply(TOO_MANY_KEYS, user.tokensLeft, wait_ms) end
if user.tokensLeft < tokens then return reply(NO_TOKENS, user.tokensLeft, 0, held(user)) end

user.tokensLeft = user.tokensLeft - tokens
user.tokensUsed = user.tokensUsed + tokens
append(user, now, 'charge', -tokens, ref)
local expires_at_ms = prolong(user, now, user_key, rate.last)
save()
admit(rate_key, rate, window_ms)
if once then once.remember(struct.pack('>I6', user.tokensLeft)) end
return reply(OK, user.tokensLeft, 0, expires_at_ms)
