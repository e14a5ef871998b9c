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

-- One that has these tokens, and no ledger yet.
local function new_user(tenant, api_key, group, tokens, rate_limit, rate_limit_window, now)
  return {
    createdAt = iso_time(now), tenantId = tenant, group = group, tokensLeft = tokens,
    tokensUsed = 0, tokensGranted = tokens, overrun = 0, rateLimit = rate_limit,
    rateLimitWindow = rate_limit_window, apiKeys = {[api_key] = true}, holds = {}, entries = 0,
  }
end
