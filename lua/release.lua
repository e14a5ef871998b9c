--[[
  Make the identity of a user who is being deleted nobody's. What stays says for 400 days that it has
  had its free tokens, and nothing of the user.

  KEYS[1] identity  string  JSON, as claim.lua has it
  ARGV[1] user_id
  Returns {status}
    OK
    MISMATCH  it is not this user's: nothing was done
]]
local identity_key, user_id = KEYS[1], ARGV[1]

local TOMBSTONE_MS = 400 * DAY_MS

local text = call('GET', identity_key)
if not text or cjson.decode(text).userId ~= user_id then return {MISMATCH} end
call('SET', identity_key, string.format('{"userId":"","at":%d}', now_ms()), 'PX', TOMBSTONE_MS)
return {OK}
