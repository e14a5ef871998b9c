--[[
  Read entries of a user's ledger, newest first.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] limit           entries at most
  ARGV[4] before          only entries with a smaller number
  ARGV[5] ledger_size     entries that are kept
  Returns {status, {entry, ...}}, each entry JSON
    OK
    UNKNOWN_KEY     {status} alone
]]
local user_key, ledger_key = KEYS[1], KEYS[2]
local tenant, api_key, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local before, ledger_size = tonumber(ARGV[4]), tonumber(ARGV[5])

local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now_ms())
if not user then return {UNKNOWN_KEY} end
-- The newest entry, at index 0, has the number user.entries.
local first = math.max(user.entries - before + 1, 0)
return {OK, call('LRANGE', ledger_key, first, first + limit - 1)}
