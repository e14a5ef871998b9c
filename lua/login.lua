--[[
  Make a user with its first balance, whose API key there is already. It lives for a day, or as long
  as its key, which it outlives in no case; from its first charge or hold on as long as the key.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    its entries, newest first
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] group
  ARGV[4] tokens          the group's
  ARGV[5] rate_limit      the group's, requests in one window
  ARGV[6] rate_limit_window  the group's, seconds
  ARGV[7] key_expires_at_ms
  ARGV[8] ref             for the ledger, JSON
  Returns {status, expires_at_ms}, the latter of the user
    OK
]]
local user_key, ledger_key = KEYS[1], KEYS[2]
local tenant, api_key, group, tokens = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local rate_limit, rate_limit_window = tonumber(ARGV[5]), tonumber(ARGV[6])
local key_expires_at, ref = tonumber(ARGV[7]), ARGV[8]

-- ISO 8601; the days of a year that begins in March need no table (Howard Hinnant's civil_from_days).
local function iso_time(ms)
  local second, day = math.floor(ms / 1000), math.floor(ms / 86400000)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524)
                          - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month,
                       doy - math.floor((153 * mp + 2) / 5) + 1, math.floor(second / 3600) % 24,
                       math.floor(second / 60) % 60, second % 60, ms % 1000)
end

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end

local now = now_ms()
local user_expires_at = math.min(now + DAY_MS, key_expires_at)
local user = {
  createdAt = iso_time(now), tenantId = tenant, group = group, tokensLeft = tokens, tokensUsed = 0,
  tokensGranted = tokens, overrun = 0, rateLimit = rate_limit, rateLimitWindow = rate_limit_window,
  apiKeys = {[api_key] = true}, holds = {}, entries = 1,
  keyExpiresAt = key_expires_at > user_expires_at and key_expires_at or nil,
}
local entry = string.format('[1,%d,"grant",%d,%d,%s]', now, tokens, tokens, ref)
-- IDs are random: one that is taken is a fault of ours.
if not call('SET', user_key, cjson.encode(user), 'NX', 'PXAT', user_expires_at) then
  return redis.error_reply('ERR user exists')
end
call('LPUSH', ledger_key, entry)
call('PEXPIREAT', ledger_key, user_expires_at)
return {OK, user_expires_at}
