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

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end

local now = now_ms()
local user_expires_at = math.min(now + DAY_MS, key_expires_at)
local user = new_user(tenant, api_key, group, tokens, rate_limit, rate_limit_window, now)
user.entries = 1
if key_expires_at > user_expires_at then user.keyExpiresAt = key_expires_at end
local entry = string.format('[1,%d,"grant",%d,%d,%s]', now, tokens, tokens, ref)
-- IDs are random: one that is taken is a fault of ours.
if not call('SET', user_key, cjson.encode(user), 'NX', 'PXAT', user_expires_at) then
  return redis.error_reply('ERR user exists')
end
call('LPUSH', ledger_key, entry)
call('PEXPIREAT', ledger_key, user_expires_at)
return {OK, user_expires_at}
