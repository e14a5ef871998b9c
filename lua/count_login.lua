--[[
  Count one anonymous login from an address against the limit, in its own slot.

  KEYS[1] logins  list    times of recent logins, newest first, ms
  ARGV[1] limit           logins in one window
  ARGV[2] window          seconds
  Returns {status, retry_after_ms}
    OK
    RATE_LIMITED
]]
local logins_key = KEYS[1]
local limit, window_ms = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000

local rate = read_rate(logins_key, limit, window_ms, now_ms())
if rate.remaining == 0 then return {RATE_LIMITED, rate.retry_after_ms} end
admit(logins_key, rate, window_ms)
return {OK, 0}
