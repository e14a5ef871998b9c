--[[
  Make the identity of a user who is being deleted nobody's. What stays says for 400 days that it has
  had its free tokens, maybe a trial, and nothing of the user.

  KEYS[1] identity  string  JSON, as claim.lua has it
  ARGV[1] user_id
  ARGV[2] claimed_at      of the claim that is over; 0 for any of this user's
  ARGV[3] trialed         1: the user has had a trial; 0
  Returns {status}
    OK
    MISMATCH  it is not this user's, or by another claim: nothing was done
]]
local identity_key, user_id, claimed_at = KEYS[1], ARGV[1], tonumber(ARGV[2])
local trialed = ARGV[3] == '1'

local TOMBSTONE_MS = 400 * DAY_MS

local text = call('GET', identity_key)
local identity = text and cjson.decode(text)
if not identity or identity.userId ~= user_id then return {MISMATCH} end
if claimed_at ~= 0 and identity.at ~= claimed_at then return {MISMATCH} end
local more = (trialed or identity.trialed == true) and ',"trialed":true' or ''
local at = math.max(now_ms(), identity.at)
call('SET', identity_key, string.format('{"userId":"","at":%d%s}', at, more), 'PX', TOMBSTONE_MS)
return {OK}
