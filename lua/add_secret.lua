--[[
  Count a client secret among those of its user that are alive. The record that the secret opens is
  in another slot, and is stored after this: what is left if that fails counts until it would expire.

  KEYS[1] user     string  the user, JSON
  KEYS[2] ledger   list    entries, newest first
  KEYS[3] keys     hash    the user's restricted keys
  KEYS[4] secrets  hash    <digest>: when the secret expires, ms, and the bytes that it is counted as
  ARGV[1] tenant
  ARGV[2] api_key         the maker, a restricted one as rk:<digest>
  ARGV[3] digest          of the new secret
  ARGV[4] ttl_ms
  ARGV[5] bytes           of its session, and of what its restricted key is for
  ARGV[6] ledger_size     entries that are kept
  Returns {status, ms}
    OK              ms: when it expires
    UNKNOWN_KEY     {status} alone
    TOO_LARGE       {status} alone: it has more bytes than all of the user's may have
    TOO_MANY_KEYS   ms: until one of those that there are expires
]]
local user_key, ledger_key, keys_key, secrets_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, api_key, digest, ttl_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local new_bytes, ledger_size = tonumber(ARGV[5]), tonumber(ARGV[6])

-- Alive at a time, and the bytes of all of them.
local MOST_SECRETS, SECRETS_BYTES = 50, 64000
local TEMPORARY_SECRETS, TEMPORARY_SECRETS_BYTES = 10, 4000

local now = now_ms()
local key = open_key(keys_key, api_key, now)
local user = read_user(user_key, ledger_key, ledger_size, tenant, key and key.maker or api_key, now)
if not user then return {UNKNOWN_KEY} end

local most, most_bytes = MOST_SECRETS, SECRETS_BYTES
if user.group == TEMPORARY then
  most, most_bytes = TEMPORARY_SECRETS, TEMPORARY_SECRETS_BYTES
end
if new_bytes > most_bytes then return {TOO_LARGE} end
local until_ms = now + ttl_ms
local live, bytes, first, last, dead = 0, new_bytes, math.huge, until_ms, {}
local fields = call('HGETALL', secrets_key)
for i = 1, #fields, 2 do
  local expires, size = string.match(fields[i + 1], '^(%d+) (%d+)$')
  expires, size = tonumber(expires), tonumber(size)
  if not is_amount(expires) or not is_amount(size) then error('the client secret is none') end
  if expires > now then
    live, bytes = live + 1, bytes + size
    first, last = math.min(first, expires), math.max(last, expires)
  else
    dead[#dead + 1] = fields[i]
  end
end
if live >= most or bytes > most_bytes then return {TOO_MANY_KEYS, first - now} end

if new_entries then save() end -- before all else, as base.lua says
if #dead > 0 then call('HDEL', secrets_key, unpack(dead)) end
call('HSET', secrets_key, digest, string.format('%d %d', until_ms, new_bytes))
call('PEXPIREAT', secrets_key, last)
return {OK, until_ms}
