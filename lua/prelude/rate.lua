--[[
  The sliding window over a list of admission times (ms, newest first). Forgets the times that
  have left the window and returns {now, last, used, remaining, reset_ms, retry_after_ms}: the newest
  time, or 0, admitted and still to admit in the window that ends now, until the oldest time leaves,
  until one more fits.
  A time leaves when it is one window old.
]]
local function read_rate(rate_key, limit, window_ms, now)
  local newest = tonumber(call('LINDEX', rate_key, 0) or 0)
  if not is_amount(newest) then error('the rate list has no times') end
  if newest > now + 1000 then -- the clock went back by more than a fail-over's skew
    call('DEL', rate_key)
    newest = 0
  end
  if newest == 0 then
    return {now = now, last = newest, used = 0, remaining = limit, reset_ms = 0, retry_after_ms = 0}
  end
  now = math.max(now, newest)

  local used, latest = call('LLEN', rate_key), nil
  local function leaves_in(index)
    latest = call('LINDEX', rate_key, index) + window_ms - now
    return latest
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
    call('DEL', rate_key)
    return {now = now, last = newest, used = 0, remaining = limit, reset_ms = 0, retry_after_ms = 0}
  end
  if gone > 0 then call('LTRIM', rate_key, 0, used - 1) end

  -- If none has left, it was the oldest that was looked at.
  local reset_ms, retry_after_ms = gone == 0 and latest or leaves_in(-1), 0
  if used == limit then
    retry_after_ms = reset_ms
  elseif used > limit then -- the limit was lowered
    retry_after_ms = leaves_in(limit - 1)
  end
  return {now = now, last = newest, used = used, remaining = math.max(limit - used, 0), reset_ms = reset_ms,
          retry_after_ms = retry_after_ms}
end

-- Counts one admission in `rate`, and in the list, which expires with its window.
local function admit(rate_key, rate, window_ms)
  call('LPUSH', rate_key, rate.now)
  call('PEXPIRE', rate_key, window_ms + 1000)
  if rate.used == 0 then rate.reset_ms = window_ms end
  rate.used, rate.remaining = rate.used + 1, rate.remaining - 1
end
