--[[
  Replace a hold by the true cost of its call; cost 0 releases it. The rest goes back to the
  balance. What exceeds the hold is taken from the balance, which never falls below 0: the
  shortfall is overrun. A hold settles once: a second settle gets the first one's reply.

  A settle of kind own is repeated until its reply arrives, and then finds no hold. If an earlier
  try may have come here, it was that one which settled; unless the hold went back at its deadline
  before any, which the user's member `returned` knows. If none may have, the hold is gone because
  Redis was away, or has forgotten it, and the cost is taken from the balance.

  What a call with a restricted key cost, the key has spent. More than its own tokens it may spend by
  the excess of one call over its hold: after that no other call's excess is taken, it is overrun.

  KEYS[1] user     string  the user, JSON
  KEYS[2] ledger   list    entries, newest first
  KEYS[3] settled  string  the reply of the hold's first settle (kind api), JSON, of a permanent user
  KEYS[4] settles  list    such replies of a temporary user, newest first
  KEYS[5] keys     hash    the user's restricted keys
  KEYS[6] calls    hash    the user's calls that are billed by time and not settled, JSON by ID; with
                           it such a call is settled, which is one of them once: so that it is not
                           charged twice, however late
  KEYS[7] outcome  string  of such a call: the tokens taken, a blank and `told`, for a day
  ARGV[1] tenant
  ARGV[2] api_key          of kind own the ID of the restricted key that made the hold, which may be
                           gone, '' for a full one
  ARGV[3] hold_id
  ARGV[4] tokens           the cost
  ARGV[5] kind             api: only of a hold made over HTTP; own: only of one made by the
                           gateway, and also when that is gone
  ARGV[6] again            1: an earlier try may have come here; 0: none has
  ARGV[7] ledger_size      entries that are kept
  ARGV[8] ref              for the ledger, JSON
  ARGV[9] call_id          of a call that is billed by time
  ARGV[10] told            what its outcome says of it
  Returns {status, tokens_taken, tokens_left}, the last to the key that made the hold
    OK
    REPLAYED       the first reply; of kind own it may be as it would be now
    UNKNOWN_KEY    {status} alone: no such user, or it does not have that key
    UNKNOWN_HOLD   {status} alone
    ABSENT         {status} alone: the call was settled before
]]
local user_key, ledger_key, settled_key, settles_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local keys_key, calls_key, outcome_key = KEYS[5], KEYS[6], KEYS[7]
local tenant, api_key, hold_id, tokens = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local kind, again, ledger_size, ref = ARGV[5], ARGV[6] == '1', tonumber(ARGV[7]), ARGV[8]
local call_id, told = ARGV[9], ARGV[10]
local key_id = ''
if kind == 'own' then api_key, key_id = '', api_key end

-- A temporary user has at most as many open holds.
local TEMPORARY_SETTLES = 50

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end
if calls_key and not call('HGET', calls_key, call_id) then return {ABSENT} end
local hold = user.holds[hold_id]
if hold and hold[3] ~= kind then return {UNKNOWN_HOLD} end
if hold and hold[4] then key_id = hold[4] end
local key = key_id ~= '' and read_key(keys_key, key_id) or nil

local function replayed(taken, tokens_left)
  if not is_amount(taken) or not is_amount(tokens_left) then error('the kept reply is none') end
  return {REPLAYED, taken, tokens_left}
end

-- What a hold of kind api that is gone was settled to, {tokens_taken, tokens_left}, or nil.
local function kept_reply()
  local kept = call('GET', settled_key)
  if kept then
    local kept_kind, taken, tokens_left = unpack(cjson.decode(kept))
    return kept_kind == 'api' and {taken, tokens_left} or nil
  end
  for _, reply in ipairs(call('LRANGE', settles_key, 0, -1)) do
    local id, at, taken, tokens_left = string.match(reply, '^(%x+) (%d+) (%d+) (%d+)$')
    if id == string.sub(hold_id, 1, 16) and at + HOUR_MS > now then
      return {tonumber(taken), tonumber(tokens_left)}
    end
  end
end

if not hold and kind == 'api' then
  local first = kept_reply()
  if not first then return {UNKNOWN_HOLD} end
  return replayed(first[1], first[2])
end
local note = user.returned and user.returned[hold_id]
if not hold and note and note[2] then return replayed(note[2], note[3]) end
if not hold and again and not note then return replayed(tokens, left_for(user, key)) end

local hold_tokens = hold and hold[1] or 0
local is_overspent = key and key.spent + held(user, key_id) > key.tokens
local taken = math.min(tokens, hold_tokens + (is_overspent and 0 or user.tokensLeft))
user.holds[hold_id] = nil
user.tokensLeft = user.tokensLeft + hold_tokens - taken
user.tokensUsed = user.tokensUsed + taken
if key then key.spent = math.min(key.spent + taken, LARGEST) end
local left = left_for(user, key)
if hold or taken > 0 then
  append(user, now, tokens == 0 and 'release' or 'settle', hold_tokens - taken, ref)
end
if tokens > taken then
  user.overrun = math.min(user.overrun + tokens - taken, LARGEST)
  append(user, now, 'overrun', 0, string.format('{"overrun":%d}', tokens - taken))
end
if kind == 'own' then
  if tokens > 0 and (again or not hold) then
    local note_returned = notes_of_holds(user, now)
    note_returned(hold_id, taken, left)
  end
  save()
  if key and taken > 0 then call('HSET', keys_key, key_id .. ':spent', key.spent) end
  if calls_key then
    call('HDEL', calls_key, call_id)
    call('SET', outcome_key, taken .. ' ' .. told, 'PX', DAY_MS)
  end
elseif user.group == TEMPORARY then
  local kept = call('LLEN', settles_key)
  save()
  call('LPUSH', settles_key, string.format('%s %d %d %d', string.sub(hold_id, 1, 16), now,
                                                 taken, user.tokensLeft))
  if kept >= TEMPORARY_SETTLES then
    call('LTRIM', settles_key, 0, TEMPORARY_SETTLES - 1)
  end
  call('PEXPIRE', settles_key, HOUR_MS)
else
  local reply = cjson.encode({kind, taken, user.tokensLeft})
  save()
  call('SET', settled_key, reply, 'PX', HOUR_MS)
end
return {OK, taken, left}
