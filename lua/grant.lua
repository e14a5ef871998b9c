--[[
  Add tokens to a user's balance, or move the user to another group.

  The caller says whether users of the group are temporary, and gives each of the user's API keys
  the same expiry, after a replay too, since the first caller may have died.

  KEYS[1] user    string  the user, JSON
  KEYS[2] once    hash    replies kept for Idempotency-Keys
  KEYS[3] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] tokens          to add, or the group's
  ARGV[3] group           the new group, or '' to add tokens
  ARGV[4] rate_limit      the group's
  ARGV[5] rate_limit_window  the group's, seconds
  ARGV[6] ttl_ms          0 if users of the group are permanent; else a permanent user expires so
                          much later, and a temporary one when it would have anyway
  ARGV[7] once_field      the hashed Idempotency-Key, or '' for none
  ARGV[8] ledger_size     entries that are kept
  ARGV[9] ref             for the ledger, JSON
  Returns {status, tokens_left, group, {api_key, ...}, {expires_at_ms}}, the last empty when the
           user is permanent
    OK
    REPLAYED        tokens_left and group are those of the first reply
    UNKNOWN_USER    {status} alone
    KEY_REUSED      {status} alone
    TOO_LARGE       {status} alone: the balance, or all that was ever granted, would be
]]
local user_key, once_key, ledger_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, tokens, group = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local rate_limit, rate_limit_window = tonumber(ARGV[4]), tonumber(ARGV[5])
local ttl_ms, once_field = tonumber(ARGV[6]), ARGV[7]
local ledger_size, ref = tonumber(ARGV[8]), ARGV[9]

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user then return {UNKNOWN_USER} end

local function reply(status, tokens_left, reply_group)
  local api_keys = {}
  for api_key in pairs(user.apiKeys) do api_keys[#api_keys + 1] = api_key end
  return {status, tokens_left, reply_group, api_keys, expiry(user_key)}
end

local fingerprint = group == '' and 'tokens ' .. ARGV[2] or 'group ' .. group
local replay, first_reply = recall(once_key, once_field, fingerprint, now)
if replay == KEY_REUSED then return {KEY_REUSED} end
if replay then return reply(REPLAYED, first_reply[1], first_reply[2]) end

-- What is held belongs to calls under way: a new group's tokens include it.
local tokens_left = group == '' and user.tokensLeft + tokens or math.max(tokens - held(user), 0)
local change = tokens_left - user.tokensLeft
local tokens_granted = user.tokensGranted + change
if tokens_left > LARGEST or tokens_granted > LARGEST then return {TOO_LARGE} end

user.tokensLeft, user.tokensGranted = tokens_left, tokens_granted
if group ~= '' then
  user.group, user.rateLimit, user.rateLimitWindow = group, rate_limit, rate_limit_window
end
append(ledger_key, ledger_size, user_key, user, now, group == '' and 'grant' or 'group', change, ref)
write_user(user_key, user)
if ttl_ms > 0 then
  if redis.call('PTTL', user_key) < 0 then
    redis.call('PEXPIREAT', user_key, now + ttl_ms)
    redis.call('PEXPIREAT', ledger_key, now + ttl_ms)
  end
elseif group ~= '' then
  redis.call('PERSIST', user_key)
  redis.call('PERSIST', ledger_key)
end
remember(once_key, once_field, fingerprint, {tokens_left, user.group}, now)
return reply(OK, tokens_left, user.group)
