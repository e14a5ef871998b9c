--[[
  What scripts share is in this folder: words, amounts and times here, each of the others by itself.

  A script does all or nothing. Redis undoes nothing of one that fails, so whatever may fail comes
  before the first write: reading, checking, computing, and encoding too. Of the writes the first
  is the ledger's, by save(), since only that one finds out whether its key has the right type.

  The loader puts this in front of every script, without the functions that it does not use: each
  run makes all of its functions anew, which costs more than many a command, the more variables they
  use of those around them. So those that are seldom needed are made within the one that needs them,
  and the loader writes the values of CONSTANTS where they are used.

  Statuses are those of Status in server/store/status.py (a test holds the two together).
]]
local call = redis.call

local OK, REPLAYED = 0, 1
local UNKNOWN_KEY, UNKNOWN_USER = 2, 3
local RATE_LIMITED, NO_TOKENS, TOO_LARGE = 4, 5, 6
local KEY_REUSED, TOO_MANY_KEYS = 7, 8
local EXISTS, ABSENT, MISMATCH = 9, 10, 11
local UNKNOWN_HOLD, TOO_MANY_HOLDS = 12, 13
local NOT_ALLOWED, UNKNOWN_GROUP, TOO_MANY_CALLS = 14, 15, 16
local KEYS_EXPIRE, CLOSING, STALE, OVERTAKEN = 17, 18, 19, 20

-- A round bound below what cjson keeps: it writes 14 digits, and a number of more would come back
-- from the user's JSON changed.
local LARGEST = 10000000000000
local DAY_MS = 86400000
local HOUR_MS = 3600000

-- Anybody may have as many users of this group as the limit of logins admits, for nothing: so each
-- of them is small, and lives for a day unless it spends.
local TEMPORARY = 'anonymous'
local TEMPORARY_ENTRIES, TEMPORARY_ONCE_FIELDS = 50, 120

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function is_amount(tokens)
  return tokens and tokens >= 0 and tokens <= LARGEST and tokens % 1 == 0
end

-- When the key expires: {ms}, or {} when it is permanent.
local function expiry(user_key)
  local at = call('PEXPIRETIME', user_key)
  if at < 0 then return {} end
  return {at}
end
