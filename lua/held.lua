--[[
  What a hold that a user made over HTTP holds, and the day, by which a settle knows what of it goes
  back to the tenant's limit.

  KEYS[1] user  string  the user, JSON
  ARGV[1] hold_id
  Returns {status, tokens, day}
    OK            day: its number, of Redis' clock
    UNKNOWN_HOLD  {status} alone
]]
local user_key, hold_id = KEYS[1], ARGV[1]

local text = call('GET', user_key)
local hold = text and cjson.decode(text).holds[hold_id]
if not hold then return {UNKNOWN_HOLD} end
if not is_amount(hold[1]) then error('a hold of ' .. tostring(hold[1])) end
return {OK, hold[1], math.floor(now_ms() / DAY_MS)}
