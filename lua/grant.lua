--[[
  Add tokens to a user's balance (grant), or move the user to another group (group).

  The caller says whether users of the group are temporary, and gives the user's API keys the same
  expiry, after a replay too, since the first caller may have died.

  KEYS[1] user    string  the user, JSON
  KEYS[2] once    hash    replies kept for Idempotency-Keys
  KEYS[3] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] op              grant or group
  ARGV[3] tokens          to add, or the group's
  ARGV[4] group           the new group
  ARGV[5] rate_limit      the group's
  ARGV[6] rate_limit_window  the group's, seconds
  ARGV[7] ttl_ms          0 if users of the group are permanent; else a permanent user expires so
                          much later, and a temporary one when it would have anyway
  ARGV[8] once_field      the hashed Idempotency-Key, or '' for none
  ARGV[9] old_once_field  as servers before this one hashed it
  ARGV[10] ledger_size    entries that are kept
  ARGV[11] ref            for the ledger, JSON
  Returns {status, tokens_left, group, {api_key, ...}, {expires_at_ms}}: the keys that are to
           expire with the user; the last empty when the user is permanent
    OK
    REPLAYED        tokens_left and group are those of the first reply
    UNKNOWN_USER    {status} alone
    KEY_REUSED      {status} alone
    TOO_LARGE       {status} alone: the balance, or all that was ever granted, would be
]]
local user_key, once_key, ledger_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, op, tokens, group = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local rate_limit, rate_limit_window = tonumber(ARGV[5]), tonumber(ARGV[6])
local ttl_ms, once_field, old_once_field = tonumber(ARGV[7]), ARGV[8], ARGV[9]
local ledger_size, ref = tonumber(ARGV[10]), ARGV[11]
local is_move = op == 'group'

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user then return {UNKNOWN_USER} end
for api_key in pairs(user.apiKeys) do
  if type(api_key) ~= 'string' then error('the API keys are a list') end
end

local function reply(status, tokens_left, reply_group)
  local api_keys = {}
  -- Since login it has never been permanent: its key is still as login left it.
  if not user.keyExpiresAt then
    for api_key in pairs(user.apiKeys) do api_keys[#api_keys + 1] = api_key end
  end
  return {status, tokens_left, reply_group, api_keys, expiry(user_key)}
end

local fingerprint = is_move and 'group ' .. group or 'tokens ' .. ARGV[3]
local once = once_field ~= '' and open_once(once_key, once_field, old_once_field, fingerprint, now)
if once and once.status == KEY_REUSED then return {KEY_REUSED} end
if once and once.unpacked then
  local first_tokens_left, first_group = once.unpacked[1], once.unpacked[2]
  if not is_amount(first_tokens_left) or type(first_group) ~= 'string' then
    error('the kept reply is none')
  end
  return reply(REPLAYED, first_tokens_left, first_group)
end
if once and once.status then
  local first_tokens_left, next_byte = struct.unpack('>I6', once.packed)
  return reply(REPLAYED, first_tokens_left, string.sub(once.packed, next_byte))
end

-- What is held belongs to calls under way: a new group's tokens include it.
local tokens_left = is_move and math.max(tokens - held(user), 0) or user.tokensLeft + tokens
local change = tokens_left - user.tokensLeft
local tokens_granted = user.tokensGranted + change
if tokens_left > LARGEST or tokens_granted > LARGEST then return {TOO_LARGE} end

user.tokensLeft, user.tokensGranted = tokens_left, tokens_granted
if is_move then
  user.group, user.rateLimit, user.rateLimitWindow = group, rate_limit, rate_limit_window
end
append(user, now, op, change, ref)
local becomes_permanent = is_move and ttl_ms == 0
if becomes_permanent then user.keyExpiresAt = nil end
if not is_move then prolong(user, now) end
save()
if becomes_permanent then
  call('PERSIST', user_key)
  call('PERSIST', ledger_key)
elseif is_move and call('PTTL', user_key) < 0 then
  call('PEXPIREAT', user_key, now + ttl_ms)
  call('PEXPIREAT', ledger_key, now + ttl_ms)
end
if once then once.remember(struct.pack('>I6', tokens_left) .. user.group) end
return reply(OK, tokens_left, user.group)
