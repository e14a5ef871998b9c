--[[
  Say whose identity this is; one that is nobody's becomes the candidate's. That of a user who was
  deleted is nobody's again, but has had its free tokens.

  KEYS[1] identity  string  JSON: userId, '' after a deletion; again; at, ms
  ARGV[1] candidate         user ID
  Returns {status, user_id, again}, again 1 if there are no free tokens for it
    OK      it is the candidate's now
    EXISTS  it was somebody's before, maybe the candidate's
]]
local identity_key, candidate = KEYS[1], ARGV[1]

local text, again = call('GET', identity_key), false
if text then
  local identity = cjson.decode(text)
  if type(identity) ~= 'table' or type(identity.userId) ~= 'string' then
    error('the identity is none')
  end
  if identity.userId ~= '' then
    return {EXISTS, identity.userId, identity.again and 1 or 0}
  end
  again = true
end
call('SET', identity_key, string.format('{"userId":"%s","again":%s,"at":%d}', candidate,
                                        tostring(again), now_ms()))
return {OK, candidate, again and 1 or 0}
