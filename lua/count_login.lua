--[[
  Count one anonymous login in each window that it is limited by, or in none of them.

  KEYS[1] tenant_hour  list   times of recent logins, newest first, ms: all of the tenant
  KEYS[2] tenant_day   list   as the one before
  KEYS[3] minute       list   those of the client
  KEYS[4] hour         list   those of the client
  KEYS[5] site         list   those of the network around it, an IPv6 /56
  KEYS[6] network      list   those of the network around that, an IPv6 /48
  ARGV[1] tenant_hour_limit   here and below 0: no limit, and not counted
  ARGV[2] tenant_day_limit
  ARGV[3] minute_limit
  ARGV[4] hour_limit
  ARGV[5] site_limit          in an hour, as the next one
  ARGV[6] network_limit
  Returns {status, retry_after_ms}
    OK
    RATE_LIMITED  by one window at least
]]
local MINUTE_MS = 60000
local windows = {
  {key = KEYS[1], limit = tonumber(ARGV[1]), ms = HOUR_MS},
  {key = KEYS[2], limit = tonumber(ARGV[2]), ms = DAY_MS},
  {key = KEYS[3], limit = tonumber(ARGV[3]), ms = MINUTE_MS},
  {key = KEYS[4], limit = tonumber(ARGV[4]), ms = HOUR_MS},
  {key = KEYS[5], limit = tonumber(ARGV[5]), ms = HOUR_MS},
  {key = KEYS[6], limit = tonumber(ARGV[6]), ms = HOUR_MS},
}

local now, retry_after_ms = now_ms(), 0
for _, window in ipairs(windows) do
  if window.limit > 0 then
    window.rate = read_rate(window.key, window.limit, window.ms, now)
    if window.rate.remaining == 0 then
      retry_after_ms = math.max(retry_after_ms, window.rate.retry_after_ms)
    end
  end
end
if retry_after_ms > 0 then return {RATE_LIMITED, retry_after_ms} end

for _, window in ipairs(windows) do
  if window.rate then admit(window.key, window.rate, window.ms) end
end
return {OK, 0}
