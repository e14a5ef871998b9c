--[[
  Set tokens aside before a call whose cost is not known yet: up to `wanted`, at least `minimum`.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] once    hash    replies kept for Idempotency-Keys
  KEYS[4] ledger  list    entries, newest first
  KEYS[5] keys    hash    the user's restricted keys
  ARGV[1] tenant
  ARGV[2] api_key         a restricted one as rk:<digest>
  ARGV[3] wanted
  ARGV[4] minimum
  ARGV[5] ttl_ms          until the hold goes back by itself
  ARGV[6] kind            api: made over HTTP; own: made by the gateway for a provider call
  ARGV[7] new_hold_id
  ARGV[8] once_field      the hashed Idempotency-Key, or '' for none
  ARGV[9] old_once_field  as servers before this one hashed it
  ARGV[10] ledger_size    entries that are kept
  ARGV[11] ref            for the ledger, JSON
  ARGV[12] verdicts       what the policy of each group of the config says of this call: lines of the
                          group's name, a tab and the policy's number; if it may be made a blank,
                          the most tokens that it may hold, a blank and the user's open holds of
                          kind own that there may be. '' where no policy matters
  ARGV[13] rated          1: counts towards the rate limit; 0: is part of what has counted, and comes
                          through whatever the limit is
  Returns {status, tokens_left, limit, window, remaining, reset_ms, retry_after_ms, hold_id, tokens,
           deadline_ms, lapsed, policy, expires_at_ms}, the last six only with a hold, and the very
           last now and then: when the user expires, as prolong says; tokens_left to this key
    OK              lapsed: tokens of earlier holds that count for the same day of the tenant's
                    limit, and went back at their deadline; each is told once
                    policy: the number of the group's, 0 where none matters
    REPLAYED        the hold and tokens_left of the first reply, without lapsed and policy
    UNKNOWN_KEY     {status} alone
    UNKNOWN_GROUP   the config has no such group any more
    NOT_ALLOWED     after retry_after_ms comes policy, and nothing else
    KEY_REUSED      the Idempotency-Key came with other values
    RATE_LIMITED
    TOO_MANY_KEYS   retry_after_ms until an Idempotency-Key expires
    TOO_MANY_CALLS  as many holds of kind own are open as the policy lets a user have
    TOO_MANY_HOLDS  retry_after_ms until one is past its deadline
    NO_TOKENS       after retry_after_ms comes tokens_held, and nothing else
]]
local user_key, rate_key, once_key, ledger_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local keys_key = KEYS[5]
local tenant, api_key = ARGV[1], ARGV[2]
local wanted, minimum, ttl_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local kind, new_hold_id, once_field = ARGV[6], ARGV[7], ARGV[8]
local old_once_field, ledger_size, ref = ARGV[9], tonumber(ARGV[10]), ARGV[11]
local verdicts, is_rated = ARGV[12], ARGV[13] == '1'

if not is_amount(wanted) or not is_amount(minimum) or minimum == 0 or minimum > wanted then
  return redis.error_reply('ERR tokens out of range')
end
local now = now_ms()
local key = open_key(keys_key, api_key, now)
local user = read_user(user_key, ledger_key, ledger_size, tenant, key and key.maker or api_key, now)
if not user then return {UNKNOWN_KEY} end
local left = left_for(user, key)

local window_ms = user.rateLimitWindow * 1000
local rate = read_rate(rate_key, user.rateLimit, window_ms, now)
local function reply(status, tokens_left, retry_after_ms, hold)
  return {status, tokens_left, user.rateLimit, user.rateLimitWindow, rate.remaining, rate.reset_ms,
          retry_after_ms, unpack(hold or {})}
end

local policy, most, concurrent = 0, wanted, nil
if verdicts ~= '' then
  local _, tab = string.find(verdicts, '\n' .. user.group .. '\t', 1, true)
  if not tab then return reply(UNKNOWN_GROUP, left, 0) end
  policy, most, concurrent = string.match(verdicts, '^(%d+) ?(%d*) ?(%d*)', tab + 1)
  policy, most, concurrent = tonumber(policy), tonumber(most), tonumber(concurrent)
  if not most then return reply(NOT_ALLOWED, left, 0, {policy}) end
end

local once
if once_field ~= '' then
  local fingerprint = string.format('%d %d %d', wanted, minimum, ttl_ms)
  once = open_once(once_key, once_field, old_once_field, fingerprint, now)
  if once.status == KEY_REUSED then return reply(KEY_REUSED, left, 0) end
  if once.unpacked then
    local tokens_left, made = once.unpacked[1], once.unpacked[2]
    local id, tokens, deadline_ms = string.match(made[1], '^%x+$'), made[2], made[3]
    if not (is_amount(tokens_left) and id and is_amount(tokens) and is_amount(deadline_ms)) then
      error('the kept reply is none')
    end
    return reply(REPLAYED, tokens_left, 0, {id, tokens, deadline_ms})
  end
  if once.status then
    local tokens_left, tokens, next_byte = struct.unpack('>I6I6', once.packed)
    local id = string.gsub(string.sub(once.packed, next_byte), '.', function(byte)
      return string.format('%02x', string.byte(byte))
    end)
    return reply(REPLAYED, tokens_left, 0, {id, tokens, once.given_ms + ttl_ms})
  end
end
if is_rated and rate.remaining == 0 then return reply(RATE_LIMITED, left, rate.retry_after_ms) end
local wait_ms = once and once.wait_ms(user.group) or 0
if wait_ms > 0 then return reply(TOO_MANY_KEYS, left, wait_ms) end
if concurrent then
  for _, hold in pairs(user.holds) do
    if hold[3] == 'own' then concurrent = concurrent - 1 end
  end
  if concurrent <= 0 then return reply(TOO_MANY_CALLS, left, 0) end
end
local holds_wait_ms = wait_for_a_hold_ms(user, now)
if holds_wait_ms > 0 then return reply(TOO_MANY_HOLDS, left, holds_wait_ms) end
if left < minimum then return reply(NO_TOKENS, left, 0, {held_for(user, key)}) end

local tokens = math.min(wanted, most, left)
user.tokensLeft = user.tokensLeft - tokens
user.holds[new_hold_id] = {tokens, now + ttl_ms, kind, key and key.id}
append(user, now, 'hold', -tokens, ref)
local is_same_day = user.lapsed and user.lapsed[1] == string.match(new_hold_id, DAY_OF_HOLD)
local lapsed = is_same_day and user.lapsed[2] or 0
if not is_amount(lapsed) then error('the lapsed tokens are none') end
if is_same_day then user.lapsed = nil end
local expires_at_ms = prolong(user, now, user_key, rate.last)
local to_keep
if once then
  to_keep = struct.pack('>I6I6', user.tokensLeft, tokens)
    .. string.gsub(new_hold_id, '%x%x', function(byte) return string.char(tonumber(byte, 16)) end)
end
save()
if is_rated then admit(rate_key, rate, window_ms) end
if once then once.remember(to_keep) end
return reply(OK, left - tokens, 0,
             {new_hold_id, tokens, now + ttl_ms, lapsed, policy, expires_at_ms})
