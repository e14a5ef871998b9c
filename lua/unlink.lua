--[[
  Take an identity from a user. It is still claimed for the user then: release.lua is the rest, and
  whoever logs in by that claim before it is told that it is over.

  KEYS[1] account  hash    what is known of the user's logins
  ARGV[1] identity        <provider>:<hash>
  ARGV[2] claimed_at      of the claim by which it is the user's, ms
  ARGV[3] before_ms       the user keeps one that has signed in since
  Returns {status}
    OK
    MISMATCH  the user keeps it, or does not have it
]]
local account_key = KEYS[1]
local identity, claimed_at, before_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local linked = call('HGET', account_key, 'identity:' .. identity)
if not linked or tonumber(string.match(linked, '%d+$')) >= before_ms then return {MISMATCH} end
call('HDEL', account_key, 'identity:' .. identity)
call('HSET', account_key, 'unlinked:' .. identity, claimed_at)
return {OK}
