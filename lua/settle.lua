--[[
  Replace a hold by the true cost of its call; cost 0 releases it. The rest goes back to the
  balance. What exceeds the hold is taken from the balance, which never falls below 0: the
  shortfall is overrun. The reply is kept, and any later settle of that hold gets it.

  KEYS[1] user     string  the user, JSON
  KEYS[2] ledger   list    entries, newest first
  KEYS[3] settled  string  the reply of the hold's first settle, JSON
  ARGV[1] tenant
  ARGV[2] api_key          '' for a settle of the gateway's (kind own)
  ARGV[3] hold_id
  ARGV[4] tokens           the cost
  ARGV[5] kind             api: only of a hold made over HTTP; own: only of one made by the
                           gateway, and also when that went back because Redis was away
  ARGV[6] ledger_size      entries that are kept
  ARGV[7] ref              for the ledger, JSON
  Returns {status, tokens_taken, tokens_left}
    OK
    REPLAYED       the first reply
    UNKNOWN_KEY    {status} alone: no such user, or it does not have that key
    UNKNOWN_HOLD   {status} alone
]]
local user_key, ledger_key, settled_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, hold_id, tokens = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local kind, ledger_size, ref = ARGV[5], tonumber(ARGV[6]), ARGV[7]

local KEPT_MS = 3600000

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end

local kept = redis.call('GET', settled_key)
if kept then
  local kept_kind, taken, tokens_left = unpack(cjson.decode(kept))
  if kept_kind ~= kind then return {UNKNOWN_HOLD} end
  return {REPLAYED, taken, tokens_left}
end
local hold = user.holds[hold_id]
if hold and hold[3] ~= kind or not hold and kind == 'api' then return {UNKNOWN_HOLD} end

local hold_tokens = hold and hold[1] or 0
local taken = math.min(tokens, hold_tokens + user.tokensLeft)
user.holds[hold_id] = nil
user.tokensLeft = user.tokensLeft + hold_tokens - taken
user.tokensUsed = user.tokensUsed + taken
if hold or taken > 0 then
  append(ledger_key, ledger_size, user_key, user, now, tokens == 0 and 'release' or 'settle',
         hold_tokens - taken, ref)
end
if tokens > taken then
  user.overrun = math.min(user.overrun + tokens - taken, LARGEST)
  append(ledger_key, ledger_size, user_key, user, now, 'overrun', 0,
         string.format('{"overrun":%d}', tokens - taken))
end
write_user(user_key, user)
redis.call('SET', settled_key, cjson.encode({kind, taken, user.tokensLeft}), 'PX', KEPT_MS)
return {OK, taken, user.tokensLeft}
