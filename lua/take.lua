--[[
  Take what is kept for one taker: a sign-in under way, or its code. Whoever comes next finds none.

  KEYS[1] kept  string
  Returns {status, kept}
    OK
    ABSENT
]]
local kept_key = KEYS[1]

local kept = call('GET', kept_key)
if not kept then return {ABSENT, ''} end
call('DEL', kept_key)
return {OK, kept}
