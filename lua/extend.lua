--[[
  A later deadline for a hold of the gateway's (kind own), while the call that it is for lasts.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  ARGV[1] tenant
  ARGV[2] hold_id
  ARGV[3] ttl_ms          from now
  ARGV[4] ledger_size     entries that are kept
  Returns {status}
    OK
    UNKNOWN_HOLD    no such user, or the hold is of kind api, was settled or has gone back
]]
local user_key, ledger_key = KEYS[1], KEYS[2]
local tenant, hold_id, ttl_ms, ledger_size = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
local hold = user and user.holds[hold_id]
if not hold or hold[3] ~= 'own' then return {UNKNOWN_HOLD} end
hold[2] = math.max(hold[2], now + ttl_ms)
save()
return {OK}
