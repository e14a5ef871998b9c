--[[
  Add tokens to a user's balance (grant), or move the user to another group (group).

  Granted tokens are extra, which a move keeps, and make the user permanent; so does a move to a group
  whose users are, and any while there are extra tokens. A plan goes on until it ends: who is moved
  while one runs falls back to the new group then.

  A key must not expire before its user. So a temporary user becomes permanent only when its keys are;
  and the caller gives each key that the reply names the same end as the user, after a replay too,
  since the first caller may have died.

  KEYS[1] user    string  the user, JSON
  KEYS[2] once    hash    replies kept for Idempotency-Keys
  KEYS[3] ledger  list    entries, newest first
  KEYS[4] account hash    of a user that has signed in, and is permanent in any group
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
  ARGV[12] permanent_keys  API keys that the caller has made permanent, JSON
  Returns {status, tokens_left, group, {api_key, ...}, {expires_at_ms}}: the keys without a deadline;
           the last empty when the user is permanent
    OK
    REPLAYED        tokens_left and group are those of the first reply
    UNKNOWN_USER    {status} alone
    KEY_REUSED      {status} alone
    TOO_LARGE       {status} alone: the balance, or all that was ever granted, would be
    KEYS_EXPIRE     {status, {api_key, ...}}: the user would become permanent, and these expire
]]
local user_key, once_key, ledger_key, account_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, op, tokens, group = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local rate_limit, rate_limit_window = tonumber(ARGV[5]), tonumber(ARGV[6])
local ttl_ms, once_field, old_once_field = tonumber(ARGV[7]), ARGV[8], ARGV[9]
local ledger_size, ref, permanent_keys = tonumber(ARGV[10]), ARGV[11], ARGV[12]
local is_move = op == 'group'

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user then return {UNKNOWN_USER} end
local api_keys = lasting_keys(user, now)

local function reply(status, tokens_left, reply_group)
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

-- What a plan's tokens have taken the place of; nil where none have yet.
local aside = is_move and user.plan and user.plan.freeLeft
local extra, tokens_left = extra_left(user), user.tokensLeft + tokens
if is_move then
  tokens_left = balance_with(user, tokens, extra)
else
  extra = extra + tokens
end
if is_too_large(user, tokens_left) then return {TOO_LARGE} end
if aside then tokens_left = user.tokensLeft end
local is_temporary = expiry(user_key)[1]
local stays = ttl_ms == 0 or extra > 0 or call('EXISTS', account_key) == 1
local expiring = keys_beside(api_keys, permanent_keys)
if is_temporary and stays and #expiring > 0 then
  call('LLEN', ledger_key) -- raises where the change could not be written
  return {KEYS_EXPIRE, expiring}
end

local change = set_balance(user, tokens_left, extra)
if is_move then
  local moved = user.plan or user
  moved.group, moved.rateLimit, moved.rateLimitWindow = group, rate_limit, rate_limit_window
  if aside then moved.freeLeft = tokens end
end
append(user, now, op, change, ref)
if stays then
  make_permanent(user)
elseif not is_temporary then
  expires_at = now + ttl_ms
end
save()
if once then once.remember(struct.pack('>I6', tokens_left) .. user.group) end
return reply(OK, tokens_left, user.group)
