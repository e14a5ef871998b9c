--[[
  Take tokens from a user's balance: what lua/charge.lua does, as a Koa service would have it.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] tokens
  ARGV[4] request_id      for the ledger
  Returns {status, tokens_left, limit, window, remaining, reset_ms}
    0 OK   1 UNKNOWN_KEY ({status} alone)   2 RATE_LIMITED   3 NO_TOKENS
]]
local user_key, rate_key, ledger_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, tokens, request_id = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local LEDGER_ENTRIES = 200

local text = redis.call('GET', user_key)
local user = text and cjson.decode(text)
if not user or user.tenantId ~= tenant or not user.apiKeys[api_key] then return {1} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, window_ms = user.rateLimit, user.rateLimitWindow * 1000
local oldest = redis.call('LINDEX', rate_key, -1)
while oldest and oldest + window_ms <= now do
  redis.call('RPOP', rate_key)
  oldest = redis.call('LINDEX', rate_key, -1)
end
local used = redis.call('LLEN', rate_key)
local function reply(status)
  local reset_ms = oldest and oldest + window_ms - now or window_ms
  return {status, user.tokensLeft, limit, user.rateLimitWindow, math.max(limit - used, 0), reset_ms}
end
if used >= limit then return reply(2) end
if user.tokensLeft < tokens then return reply(3) end

redis.call('LPUSH', rate_key, now)
redis.call('PEXPIRE', rate_key, window_ms + 1000)
used = used + 1
user.tokensLeft = user.tokensLeft - tokens
user.tokensUsed = user.tokensUsed + tokens
user.entries = user.entries + 1
redis.call('LPUSH', ledger_key, string.format('[%d,%d,"charge",%d,%d,{"requestId":"%s"}]',
  user.entries, now, -tokens, user.tokensLeft, request_id))
redis.call('LTRIM', ledger_key, 0, LEDGER_ENTRIES - 1)
redis.call('SET', user_key, cjson.encode(user), 'KEEPTTL')
return reply(0)
