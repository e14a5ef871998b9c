--[[
  Keep how a call stands that is billed by time, and move the deadline of its hold.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  KEYS[3] calls   hash    the user's calls that are not settled, JSON by ID
  ARGV[1] tenant
  ARGV[2] call_id
  ARGV[3] call            JSON
  ARGV[4] hold_id
  ARGV[5] ttl_ms          of the hold, from now; it is never made earlier
  ARGV[6] is_new          1: the call is to be among them from now on; 0: if it still is
  ARGV[7] ledger_size     entries that are kept
  Returns {status}
    OK
    UNKNOWN_HOLD  it is new, and its hold is gone, or the user
    ABSENT        it was settled, or the user has gone
]]
local user_key, ledger_key, calls_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, call_id, text, hold_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ttl_ms, is_new, ledger_size = tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7])

-- Longer than any call takes to be settled: what is forgotten must not stay for ever.
local LONGEST_MS = 4 * DAY_MS

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
local hold = user and user.holds[hold_id]
local known = call('HGET', calls_key, call_id)
if is_new and not hold then return {UNKNOWN_HOLD} end
if not is_new and not (user and known) then return {ABSENT} end
if hold then hold[2] = math.max(hold[2], now + ttl_ms) end
save()
call('HSET', calls_key, call_id, text)
call('PEXPIRE', calls_key, LONGEST_MS)
return {OK}
