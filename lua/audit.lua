--[[
  Read a user and its ledger in one step, changing neither.

  KEYS[1] user    string  the user, JSON
  KEYS[2] ledger  list    entries, newest first
  Returns {status, user, {entry, ...}, {user_expires_at_ms}, {ledger_expires_at_ms}}, the last two
           empty for what is permanent
    OK
    UNKNOWN_USER    {status} alone
]]
local user_key, ledger_key = KEYS[1], KEYS[2]

local text = redis.call('GET', user_key)
if not text then return {UNKNOWN_USER} end
return {OK, text, redis.call('LRANGE', ledger_key, 0, -1), expiry(user_key), expiry(ledger_key)}
