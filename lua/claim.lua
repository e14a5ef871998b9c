--[[
  Say whose identity this is; one that is nobody's becomes the candidate's. That of a user who was
  deleted is nobody's again, but has had its free tokens.

  KEYS[1] identity  string  JSON: userId, '' after a deletion; again; at, ms, of each claim a later one
  ARGV[1] candidate         user ID
  Returns {status, user_id, again, at}, again 1 if there are no free tokens for it
    OK      it is the candidate's now
    EXISTS  it was somebody's before, maybe the candidate's
]]
local identity_key, candidate = KEYS[1], ARGV[1]

local text, again, at = call('GET', identity_key), false, now_ms()
if text then
  local identity = cjson.decode(text)
  if type(identity) ~= 'table' or type(identity.userId) ~= 'string' or not is_amount(identity.at)
  then
    error('the identity is none')
  end
  if identity.userId ~= '' then
    return {EXISTS, identity.userId, identity.again and 1 or 0, identity.at}
  end
  again, at = true, math.max(at, identity.at + 1)
end
call('SET', identity_key, string.format('{"userId":"%s","again":%s,"at":%d}', candidate,
                                        tostring(again), at))
return {OK, candidate, again and 1 or 0, at}
