--[[
  What a charge or a hold would be answered; nothing is taken. Asked before a large body is read, and
  before a tenant's limit is leased, of which a request that is refused or repeated must take nothing;
  and for what costs no tokens by itself, but counts as one request.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] once    hash    replies kept for Idempotency-Keys
  KEYS[4] ledger  list    entries, newest first
  KEYS[5] keys    hash    the user's restricted keys
  ARGV[1] tenant
  ARGV[2] api_key         a restricted one as rk:<digest>
  ARGV[3] operation       charge or hold
  ARGV[4] tokens          the least that it must take or hold
  ARGV[5] once_field      the hashed Idempotency-Key, or '' for none
  ARGV[6] old_once_field  as servers before this one hashed it
  ARGV[7] fingerprint     as the script of the charge or hold keeps it
  ARGV[8] ledger_size     entries that are kept
  ARGV[9] rated           as lua/hold.lua has it; 1 for a charge
  ARGV[10] admits         1: it is counted as admitted; 0
  Returns {status, tokens_left, limit, window, remaining, reset_ms, retry_after_ms, tokens_held},
           the last only with NO_TOKENS; tokens_left to this key
    OK
    REPLAYED        the script itself has the first reply
    UNKNOWN_KEY     {status} alone
    KEY_REUSED      the Idempotency-Key came with another fingerprint
    RATE_LIMITED
    TOO_MANY_KEYS   retry_after_ms until an Idempotency-Key expires
    TOO_MANY_HOLDS  retry_after_ms until one is past its deadline
    NO_TOKENS
]]
local user_key, rate_key, once_key, ledger_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local keys_key = KEYS[5]
local tenant, api_key, operation, tokens = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local once_field, old_once_field = ARGV[5], ARGV[6]
local fingerprint, ledger_size, is_rated = ARGV[7], tonumber(ARGV[8]), ARGV[9] == '1'
local admits = ARGV[10] == '1'

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local key = open_key(keys_key, api_key, now)
local user = read_user(user_key, ledger_key, ledger_size, tenant, key and key.maker or api_key, now)
if not user then return {UNKNOWN_KEY} end

local window_ms = user.rateLimitWindow * 1000
local rate = read_rate(rate_key, user.rateLimit, window_ms, now)
local left = left_for(user, key)
local function reply(status, retry_after_ms, tokens_held)
  return {status, left, user.rateLimit, user.rateLimitWindow, rate.remaining,
          rate.reset_ms, retry_after_ms or 0, tokens_held}
end

local once = once_field ~= '' and open_once(once_key, once_field, old_once_field, fingerprint, now)
if once and once.status then return reply(once.status) end
if is_rated and rate.remaining == 0 then return reply(RATE_LIMITED, rate.retry_after_ms) end
local wait_ms = once and once.wait_ms(user.group) or 0
if wait_ms > 0 then return reply(TOO_MANY_KEYS, wait_ms) end
local holds_wait_ms = operation == 'hold' and wait_for_a_hold_ms(user, now) or 0
if holds_wait_ms > 0 then return reply(TOO_MANY_HOLDS, holds_wait_ms) end
if left < tokens then return reply(NO_TOKENS, 0, held_for(user, key)) end
if admits then
  if new_entries then save() end -- before all else, as base.lua says
  admit(rate_key, rate, window_ms)
end
return reply(OK)
