--[[
  What scripts share: amounts, the ledger, the expiry of holds (return_expired_holds), the check of
  an API key (read_user), the bound on open holds (wait_for_a_hold_ms), the rate limit (read_rate,
  admit), the replies kept for Idempotency-Keys (recall, once_wait_ms, remember).

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
local ONCE_FIELDS = 1000

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function is_amount(tokens)
  return tokens and tokens >= 0 and tokens <= LARGEST and tokens == math.floor(tokens)
end

local function write_user(user_key, user)
  redis.call('SET', user_key, cjson.encode(user), 'KEEPTTL')
end

-- When the key expires: {ms}, or {} when it is permanent.
local function expiry(user_key)
  local at = redis.call('PEXPIRETIME', user_key)
  if at < 0 then return {} end
  return {at}
end

--[[
  Append to the ledger: `tokens` is the signed change of tokensLeft, which user.tokensLeft already
  has; `ref` is JSON. The caller writes the user, whose `entries` counts them. An entry is an array,
  half the size of an object: [number, time_ms, op, tokens, tokensLeft, ref].
]]
local function append(ledger_key, ledger_size, user_key, user, now, op, tokens, ref)
  user.entries = user.entries + 1
  local length = redis.call('LPUSH', ledger_key, string.format('[%d,%d,"%s",%d,%d,%s]',
    user.entries, now, op, tokens, user.tokensLeft, ref))
  if length > ledger_size then redis.call('LTRIM', ledger_key, 0, ledger_size - 1) end
  if length == 1 then
    local at = expiry(user_key)[1]
    if at then redis.call('PEXPIREAT', ledger_key, at) end
  end
end

local expired_holds = 0 -- by this run; the loader puts it into the reply

-- Gives tokens back to the balance whose holds are past their deadline: the holder has died.
local function return_expired_holds(user_key, ledger_key, ledger_size, user, now)
  local returned = false
  for hold_id, hold in pairs(user.holds) do
    if hold[2] <= now then
      user.holds[hold_id] = nil
      expired_holds = expired_holds + 1
      user.tokensLeft = user.tokensLeft + hold[1]
      append(ledger_key, ledger_size, user_key, user, now, 'expire', hold[1], '{}')
      returned = true
    end
  end
  if returned then write_user(user_key, user) end
end

-- The user, its expired holds returned, or nil when there is none in this tenant; with an api_key
-- other than '', also nil unless the user has that key.
local function read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
  local text = redis.call('GET', user_key)
  local user = text and cjson.decode(text)
  if not user or user.tenantId ~= tenant then return nil end
  if api_key ~= '' and not user.apiKeys[api_key] then return nil end
  if next(user.holds) then
    return_expired_holds(user_key, ledger_key, ledger_size, user, now)
  end
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

-- The reply kept for an Idempotency-Key: nil, or REPLAYED with it, or KEY_REUSED.
local function recall(once_key, field, fingerprint, now)
  local kept = field ~= '' and redis.call('HGET', once_key, field)
  if not kept then return nil end
  local expires, kept_fingerprint, reply = unpack(cjson.decode(kept))
  if expires <= now then return nil end
  if kept_fingerprint ~= fingerprint then return KEY_REUSED end
  return REPLAYED, reply
end

-- Milliseconds until one more Idempotency-Key fits, 0 when it does. The field `sweep` says when
-- the next one expires, so that a full hash is not read through again before then.
local function once_wait_ms(once_key, now)
  if redis.call('HLEN', once_key) < ONCE_FIELDS then return 0 end
  local next_expiry = tonumber(redis.call('HGET', once_key, 'sweep') or 0)
  if next_expiry > now then return next_expiry - now end
  redis.call('HDEL', once_key, 'sweep')
  next_expiry = now + DAY_MS
  local fields, expired = redis.call('HGETALL', once_key), {}
  for i = 1, #fields, 2 do
    local expires = cjson.decode(fields[i + 1])[1]
    if expires <= now then
      expired[#expired + 1] = fields[i]
    else
      next_expiry = math.min(next_expiry, expires)
    end
  end
  if #expired > 0 then
    -- One by one: grants are not capped, and unpack() takes at most some 8,000.
    for _, field in ipairs(expired) do redis.call('HDEL', once_key, field) end
    return 0
  end
  redis.call('HSET', once_key, 'sweep', next_expiry)
  return next_expiry - now
end

local function remember(once_key, field, fingerprint, reply, now)
  if field == '' then return end
  redis.call('HSET', once_key, field, cjson.encode({now + DAY_MS, fingerprint, reply}))
  redis.call('PEXPIRE', once_key, DAY_MS)
end
