--[[
  What scripts share: amounts, the user with its ledger (read_user, append, save), the check of an
  API key (read_user), the bound on open holds (wait_for_a_hold_ms), the rate limit (read_rate,
  admit), the replies kept for Idempotency-Keys (recall, once_wait_ms, remember).

  A script does all or nothing. Redis undoes nothing of one that fails, so whatever may fail comes
  before the first write: reading, checking, computing, and encoding too. Of the writes the first
  is the ledger's, by save(), since only that one finds out whether its key has the right type.

  The loader puts this text in front of every other script; it is never run alone.
  Statuses are those of Status in server/store/status.py (a test holds the two together).
]]
local OK, REPLAYED = 0, 1
local UNKNOWN_KEY, UNKNOWN_USER = 2, 3
local RATE_LIMITED, NO_TOKENS, TOO_LARGE = 4, 5, 6
local KEY_REUSED, TOO_MANY_KEYS = 7, 8
local EXISTS, ABSENT, MISMATCH = 9, 10, 11
local UNKNOWN_HOLD, TOO_MANY_HOLDS = 12, 13

-- A round bound below what cjson keeps: it writes 14 digits, and a number of more would come back
-- from the user's JSON changed.
local LARGEST = 10000000000000
local DAY_MS = 86400000
local HOUR_MS = 3600000

-- Anybody may have as many users of this group as the limit of logins admits, for nothing: so each
-- of them is small, and lives for a day unless it spends.
local TEMPORARY = 'anonymous'
local TEMPORARY_ENTRIES = 50
local ONCE_FIELDS, TEMPORARY_ONCE_FIELDS = 1000, 120
local RETURNED_HOLDS = 50

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function is_amount(tokens)
  return tokens and tokens >= 0 and tokens <= LARGEST and tokens % 1 == 0
end

-- When the key expires: {ms}, or {} when it is permanent.
local function expiry(user_key)
  local at = redis.call('PEXPIRETIME', user_key)
  if at < 0 then return {} end
  return {at}
end

-- What this run writes by save(): where the user is, and the entries that its ledger gets.
local place, new_entries, expires_at = nil, {}, nil

--[[
  An entry of the ledger: `tokens` is the signed change of tokensLeft, which user.tokensLeft already
  has; `ref` is JSON. The user's `entries` counts them. An entry is an array, half the size of an
  object: [number, time_ms, op, tokens, tokensLeft, ref].
]]
local function append(user, now, op, tokens, ref)
  user.entries = user.entries + 1
  new_entries[#new_entries + 1] = string.format('[%d,%d,"%s",%d,%d,%s]', user.entries, now, op,
                                                tokens, user.tokensLeft, ref)
end

-- A user that has spent or was given tokens is there to stay: it lives as long as its API key,
-- which login.lua left in its record.
local function prolong(user, now)
  if user.keyExpiresAt and user.keyExpiresAt > now then expires_at = user.keyExpiresAt end
  user.keyExpiresAt = nil
end

-- Writes the user and its new entries.
local function save()
  local user_key, ledger_key, ledger_size, user = unpack(place)
  local text = cjson.encode(user)
  if #new_entries > 0 then
    local length = redis.call('LPUSH', ledger_key, unpack(new_entries))
    if user.group == TEMPORARY then ledger_size = math.min(ledger_size, TEMPORARY_ENTRIES) end
    if length > ledger_size then redis.call('LTRIM', ledger_key, 0, ledger_size - 1) end
    if length == #new_entries then
      local at = expiry(user_key)[1]
      if at then redis.call('PEXPIREAT', ledger_key, at) end
    end
  end
  redis.call('SET', user_key, text, 'KEEPTTL')
  if expires_at then
    redis.call('PEXPIREAT', user_key, expires_at)
    redis.call('PEXPIREAT', ledger_key, expires_at)
  end
  new_entries, expires_at = {}, nil
end

--[[
  What the gateway's settles of holds that were past their deadline need to know, in the user's
  member `returned`: hold ID -> {until_ms} while nobody has settled it, then with the settle's reply
  {until_ms, tokens_taken, tokens_left}. It is kept for longer than a settle is repeated.
]]
local function note_returned(user, hold_id, now, taken, tokens_left)
  local returned, count, oldest = user.returned or {}, 0, nil
  returned[hold_id] = {now + HOUR_MS, taken, tokens_left}
  for id, note in pairs(returned) do
    if note[1] <= now then
      returned[id] = nil
    else
      count = count + 1
      if not oldest or note[1] < returned[oldest][1] then oldest = id end
    end
  end
  if count > RETURNED_HOLDS then returned[oldest] = nil end
  user.returned = returned
end

-- The day of whose tokens_per_day a hold over HTTP took, by the end of its ID (limited.py); nil where
-- there was no such limit.
local function day_of(hold_id)
  return string.match(hold_id, '0000%x%x%x%x$')
end

-- Holds that went back at their deadline stay counted for the tenant's limit, until the user's next
-- hold tells of them: the user's member `lapsed`, {day, tokens} of the latest day.
local function note_lapsed(user, hold_id, tokens)
  local day, lapsed = day_of(hold_id), user.lapsed or {'', 0}
  if not day then return end
  if lapsed[1] < day then lapsed = {day, 0} end
  if lapsed[1] == day then lapsed[2] = lapsed[2] + tokens end
  user.lapsed = lapsed
end

local expired_holds = 0 -- by this run; the loader puts it into the reply

-- Gives tokens back to the balance whose holds are past their deadline: the holder has died.
local function return_expired_holds(user, now)
  for hold_id, hold in pairs(user.holds) do
    if not is_amount(hold[1]) then error('a hold of ' .. tostring(hold[1])) end
    if hold[2] <= now then
      user.holds[hold_id] = nil
      expired_holds = expired_holds + 1
      user.tokensLeft = user.tokensLeft + hold[1]
      append(user, now, 'expire', hold[1], '{}')
      if hold[3] == 'own' then
        note_returned(user, hold_id, now)
      else
        note_lapsed(user, hold_id, hold[1])
      end
    end
  end
end

-- Raises an error unless all that scripts compute with is of the right kind: another program may
-- have written the record.
local function check_user(user)
  local is_sound = type(user.group) == 'string' and type(user.createdAt) == 'string'
    and type(user.apiKeys) == 'table' and type(user.holds) == 'table'
    and is_amount(user.tokensLeft) and is_amount(user.tokensUsed) and is_amount(user.tokensGranted)
    and is_amount(user.overrun) and is_amount(user.entries)
    and is_amount(user.rateLimit) and is_amount(user.rateLimitWindow)
    and (user.keyExpiresAt == nil or is_amount(user.keyExpiresAt))
  if not is_sound then error('the user has members of wrong kinds') end
end

-- The user, its expired holds returned, or nil when there is none in this tenant; with an api_key
-- other than '', also nil unless the user has that key. What it changed is saved at the latest when
-- the script ends, by the loader.
local function read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
  local text = redis.call('GET', user_key)
  if not text then return nil end
  local user = cjson.decode(text)
  if type(user) ~= 'table' or type(user.tenantId) ~= 'string' then error('this is no user') end
  if user.tenantId ~= tenant then return nil end
  check_user(user)
  if api_key ~= '' and not user.apiKeys[api_key] then return nil end
  place = {user_key, ledger_key, ledger_size, user}
  if next(user.holds) then return_expired_holds(user, now) end
  return user
end

local function held(user)
  local tokens = 0
  for _, hold in pairs(user.holds) do tokens = tokens + hold[1] end
  return tokens
end

-- Milliseconds until one more hold fits, 0 when it does; those past their deadline are gone.
local function wait_for_a_hold_ms(user, now)
  -- The user's JSON is read and written with each request, and grows with the holds in it.
  local MOST_HOLDS = 50
  local open, first_deadline_ms = 0, math.huge
  for _, hold in pairs(user.holds) do
    open, first_deadline_ms = open + 1, math.min(first_deadline_ms, hold[2])
  end
  return open < MOST_HOLDS and 0 or first_deadline_ms - now
end

--[[
  The sliding window over a list of admission times (ms, newest first). Forgets the times that
  have left the window and returns {now, used, remaining, reset_ms, retry_after_ms}: admitted and
  still to admit in the window that ends now, until the oldest time leaves, until one more fits.
  A time leaves when it is one window old.
]]
local function read_rate(rate_key, limit, window_ms, now)
  local newest = tonumber(redis.call('LINDEX', rate_key, 0) or 0)
  if not is_amount(newest) then error('the rate list has no times') end
  if newest > now + 1000 then -- the clock went back by more than a fail-over's skew
    redis.call('DEL', rate_key)
    newest = 0
  end
  if newest == 0 then
    return {now = now, used = 0, remaining = limit, reset_ms = 0, retry_after_ms = 0}
  end
  now = math.max(now, newest)

  local used = redis.call('LLEN', rate_key)
  local function leaves_in(index)
    return redis.call('LINDEX', rate_key, index) + window_ms - now
  end
  -- How many have left: usually none or one, so look from the tail in growing steps.
  local gone, step = 0, 1
  while gone + step <= used and leaves_in(-gone - step) <= 0 do
    gone, step = gone + step, step * 2
  end
  while step > 1 do
    step = step / 2
    if gone + step <= used and leaves_in(-gone - step) <= 0 then gone = gone + step end
  end
  used = used - gone
  if used == 0 then
    redis.call('DEL', rate_key)
    return {now = now, used = 0, remaining = limit, reset_ms = 0, retry_after_ms = 0}
  end
  if gone > 0 then redis.call('LTRIM', rate_key, 0, used - 1) end

  local reset_ms, retry_after_ms = leaves_in(-1), 0
  if used == limit then
    retry_after_ms = reset_ms
  elseif used > limit then -- the limit was lowered
    retry_after_ms = leaves_in(limit - 1)
  end
  return {now = now, used = used, remaining = math.max(limit - used, 0), reset_ms = reset_ms,
          retry_after_ms = retry_after_ms}
end

-- Counts one admission in `rate`, and in the list, which expires with its window.
local function admit(rate_key, rate, window_ms)
  redis.call('LPUSH', rate_key, rate.now)
  redis.call('PEXPIRE', rate_key, window_ms + 1000)
  if rate.used == 0 then rate.reset_ms = window_ms end
  rate.used, rate.remaining = rate.used + 1, rate.remaining - 1
end

-- What is kept for an Idempotency-Key is packed, so that it is below the 64 bytes up to which Redis
-- keeps a hash in little memory: when it expires, the request's fingerprint, the reply. Servers
-- before this one wrote [expires_ms, fingerprint, reply] as JSON, into a field of another name.
local function packed_fingerprint(fingerprint)
  if #fingerprint <= 12 then return fingerprint end
  return string.sub(redis.sha1hex(fingerprint), 1, 12)
end

local function kept_until(kept)
  if string.sub(kept, 1, 1) == '[' then return cjson.decode(kept)[1] end
  return (struct.unpack('>I6', kept))
end

-- The reply kept for an Idempotency-Key: nil, or REPLAYED with it, or KEY_REUSED. `unpack_reply`
-- makes of the packed reply, and of when it was given, what the JSON of old had.
local function recall(once_key, field, old_field, fingerprint, unpack_reply, now)
  if field == '' then return nil end
  local kept = redis.call('HGET', once_key, field) or redis.call('HGET', once_key, old_field)
  if not kept or kept_until(kept) <= now then return nil end
  if string.sub(kept, 1, 1) == '[' then
    local _, kept_fingerprint, reply = unpack(cjson.decode(kept))
    if kept_fingerprint ~= fingerprint then return KEY_REUSED end
    return REPLAYED, reply
  end
  local expires, kept_fingerprint, next_byte = struct.unpack('>I6Bc0', kept)
  if kept_fingerprint ~= packed_fingerprint(fingerprint) then return KEY_REUSED end
  return REPLAYED, unpack_reply(string.sub(kept, next_byte), expires - DAY_MS)
end

-- Milliseconds until one more Idempotency-Key fits, 0 when it does. The field `sweep` says when
-- the next one expires, so that a full hash is not read through again before then.
local function once_wait_ms(once_key, group, now)
  local most = group == TEMPORARY and TEMPORARY_ONCE_FIELDS or ONCE_FIELDS
  if redis.call('HLEN', once_key) < most then return 0 end
  local next_expiry = tonumber(redis.call('HGET', once_key, 'sweep') or 0)
  if next_expiry > now then return next_expiry - now end
  redis.call('HDEL', once_key, 'sweep')
  next_expiry = now + DAY_MS
  local fields, expired = redis.call('HGETALL', once_key), {}
  for i = 1, #fields, 2 do
    local expires = kept_until(fields[i + 1])
    if expires <= now then
      expired[#expired + 1] = fields[i]
    else
      next_expiry = math.min(next_expiry, expires)
    end
  end
  if #expired > 0 then
    -- One by one: grants are not capped, and unpack() takes at most some 8,000.
    for _, field in ipairs(expired) do redis.call('HDEL', once_key, field) end
    if redis.call('HLEN', once_key) < most then return 0 end
  end
  redis.call('HSET', once_key, 'sweep', next_expiry)
  return next_expiry - now
end

-- `reply` is packed, as the script's unpack_reply takes it.
local function remember(once_key, field, fingerprint, reply, now)
  fingerprint = packed_fingerprint(fingerprint)
  local kept = struct.pack('>I6Bc0', now + DAY_MS, #fingerprint, fingerprint) .. reply
  redis.call('HSET', once_key, field, kept)
  redis.call('PEXPIRE', once_key, DAY_MS)
end
