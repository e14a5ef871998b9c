--[[
  Remove what there is of a user that close.lua has closed. For a day something stays in its place,
  so that no login that was under way makes the user anew. May be done again.

  KEYS[1] user     string  the user, JSON
  KEYS[2] rate     list    times of the admitted requests
  KEYS[3] once     hash    replies kept for Idempotency-Keys
  KEYS[4] ledger   list    entries
  KEYS[5] settles  list    replies of settles
  KEYS[6] keys     hash    restricted keys
  KEYS[7] account  hash    what is known of its logins
  KEYS[8] payments hash   what was paid for
  KEYS[9] calls    hash    calls that are billed by time; whoever looks after them hangs up
  ARGV[1] tenant
  Returns {status}
    OK
    UNKNOWN_USER  there is none in this tenant that is being deleted
]]
local user_key, rate_key, once_key, ledger_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local settles_key, keys_key, account_key = KEYS[5], KEYS[6], KEYS[7]
local payments_key, calls_key = KEYS[8], KEYS[9]
local tenant = ARGV[1]

local text = call('GET', user_key)
local user = text and cjson.decode(text)
if not user or user.tenantId ~= tenant or not (user.closing or user.closed) then
  return {UNKNOWN_USER}
end
local remains = cjson.encode({
  createdAt = user.createdAt, tenantId = tenant, tokensLeft = 0, apiKeys = {}, holds = {},
  closed = true,
})
call('DEL', rate_key, once_key, ledger_key, settles_key, keys_key, account_key, payments_key,
     calls_key)
if not user.closed then call('SET', user_key, remains, 'PX', DAY_MS) end
return {OK}
