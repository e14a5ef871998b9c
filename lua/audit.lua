--[[
  Read a user and its ledger in one step, changing neither. Raises an error where one of the user's
  keys is of a wrong type.

  KEYS[1] user    string  the user, JSON
  KEYS[2] rate    list    times of the admitted requests, newest first, ms
  KEYS[3] once    hash    replies kept for Idempotency-Keys
  KEYS[4] ledger  list    entries, newest first
  KEYS[5] settles list    replies of settles of a temporary user
  KEYS[6] keys    hash    restricted keys
  KEYS[7] account hash    what is known of its logins
  KEYS[8] payments hash   what was paid for
  KEYS[9] calls   hash    calls that are billed by time and not settled
  Returns {status, user, {entry, ...}, {user_expires_at_ms}, {ledger_expires_at_ms}, {field, value,
           ...}, {keys_expire_at_ms}, {field, value, ...}, {account_expires_at_ms}, {field, value,
           ...}, {field, value, ...}, {calls_expire_at_ms}}: the fields of the restricted keys, of
           the account, of the payments, and of the calls; a time is left out for what is permanent
    OK
    UNKNOWN_USER    {status} alone
]]
local user_key, rate_key, once_key, ledger_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local settles_key, keys_key, account_key = KEYS[5], KEYS[6], KEYS[7]
local payments_key, calls_key = KEYS[8], KEYS[9]

local text = call('GET', user_key)
if not text then return {UNKNOWN_USER} end
call('LLEN', rate_key)
call('HLEN', once_key)
call('LLEN', settles_key)
return {OK, text, call('LRANGE', ledger_key, 0, -1), expiry(user_key), expiry(ledger_key),
        call('HGETALL', keys_key), expiry(keys_key), call('HGETALL', account_key),
        expiry(account_key), call('HGETALL', payments_key), call('HGETALL', calls_key),
        expiry(calls_key)}
