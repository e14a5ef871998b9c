--[[
  Count one login in each window that it is limited by, or in none of them. Of one with a
  challenge the tenant's windows are only asked: it counts there by itself, once that is solved.

  KEYS[1] tenant_hour  list   times of recent logins, newest first, ms: all of the tenant
  KEYS[2] tenant_day   list   as the one before
  KEYS[3] minute       list   those of the client
  KEYS[4] hour         list   those of the client
  KEYS[5] site         list   those of the network around it, an IPv6 /56
  KEYS[6] network      list   those of the network around that, an IPv6 /48
  KEYS[7] challenge    string '1' while a login may not bring it again
  ARGV[1] tenant_hour_limit   here and below 0: no limit, and not counted
  ARGV[2] tenant_day_limit
  ARGV[3] minute_limit
  ARGV[4] hour_limit
  ARGV[5] site_limit          in an hour, as the next one
  ARGV[6] network_limit
  ARGV[7] challenge_ms        for which it may not come again; 0: the login has none
  Returns {status, retry_after_ms}
    OK
    RATE_LIMITED  by one window at least
    EXISTS        the challenge came before; nothing is counted
]]
local MINUTE_MS = 60000
local challenge_key, challenge_ms = KEYS[7], tonumber(ARGV[7])
local is_counted = challenge_ms == 0
local windows = {
  {key = KEYS[1], limit = tonumber(ARGV[1]), ms = HOUR_MS, is_counted = is_counted},
  {key = KEYS[2], limit = tonumber(ARGV[2]), ms = DAY_MS, is_counted = is_counted},
  {key = KEYS[3], limit = tonumber(ARGV[3]), ms = MINUTE_MS, is_counted = true},
  {key = KEYS[4], limit = tonumber(ARGV[4]), ms = HOUR_MS, is_counted = true},
  {key = KEYS[5], limit = tonumber(ARGV[5]), ms = HOUR_MS, is_counted = true},
  {key = KEYS[6], limit = tonumber(ARGV[6]), ms = HOUR_MS, is_counted = true},
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
if challenge_ms > 0 and not call('SET', challenge_key, '1', 'NX', 'PX', challenge_ms) then
  return {EXISTS, 0}
end

for _, window in ipairs(windows) do
  if window.rate and window.is_counted then admit(window.key, window.rate, window.ms) end
end
return {OK, 0}
