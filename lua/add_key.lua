--[[
  Make a restricted key for a user, which dies with the API key that makes it.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  KEYS[3] keys    hash    the user's restricted keys
  ARGV[1] tenant
  ARGV[2] api_key         the maker
  ARGV[3] digest          of the new key
  ARGV[4] tokens          that it may spend
  ARGV[5] ttl_ms
  ARGV[6] limits          what else it is limited to, JSON
  ARGV[7] ledger_size     entries that are kept
  Returns {status, ms}
    OK              ms: when it expires
    UNKNOWN_KEY     {status} alone
    TOO_LARGE       {status} alone: limits are longer than a temporary user may have
    TOO_MANY_KEYS   ms: until one of those that there are expires
]]
local user_key, ledger_key, keys_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, api_key, digest, tokens = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local ttl_ms, limits, ledger_size = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])

local MOST_RESTRICTED = 50
-- Of a temporary user, and in all of them: a key without limits has 185.
local TEMPORARY_RESTRICTED, TEMPORARY_BYTES = 3, 600

if not is_amount(tokens) or tokens == 0 then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end

local until_ms = now + ttl_ms
local text = string.format(
  '{"digest":"%s","maker":"%s","tokens":%d,"createdAt":%d,"expiresAt":%d,"limits":%s}',
  digest, api_key, tokens, now, until_ms, limits)
local live, dead = read_keys(keys_key, user, now)
local most, most_bytes = MOST_RESTRICTED, math.huge
if user.group == TEMPORARY then most, most_bytes = TEMPORARY_RESTRICTED, TEMPORARY_BYTES end
if #text > most_bytes then return {TOO_LARGE} end
local bytes, first, last = #text, math.huge, until_ms
for _, key in ipairs(live) do
  bytes = bytes + #key.text
  first, last = math.min(first, key.expiresAt), math.max(last, key.expiresAt)
end
if #live >= most or bytes > most_bytes then return {TOO_MANY_KEYS, first - now} end

if new_entries then save() end -- before all else, as base.lua says
for _, id in ipairs(dead) do call('HDEL', keys_key, id, id .. ':spent') end
call('HSET', keys_key, string.sub(digest, 1, 16), text)
call('PEXPIREAT', keys_key, last)
return {OK, until_ms}
