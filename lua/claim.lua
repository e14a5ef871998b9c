--[[
  Say whose identity this is; one that is nobody's becomes the candidate's. That of a user who was
  deleted is nobody's again, but has had its free tokens, and maybe a trial.

  KEYS[1] identity  string  JSON: userId, '' after a deletion; again; trialed; at, ms, of each claim a
                            later one
  ARGV[1] candidate         user ID
  Returns {status, user_id, again, trialed, at}: again 1 if there are no free tokens for it, trialed 1
           if there is no trial, as far as is known here; else 0
    OK      it is the candidate's now
    EXISTS  it was somebody's before, maybe the candidate's
]]
local identity_key, candidate = KEYS[1], ARGV[1]

local text, again, trialed, at = call('GET', identity_key), false, false, now_ms()
if text then
  local identity = cjson.decode(text)
  if type(identity) ~= 'table' or type(identity.userId) ~= 'string' or not is_amount(identity.at)
  then
    error('the identity is none')
  end
  again, trialed = identity.again == true, identity.trialed == true
  if identity.userId ~= '' then
    return {EXISTS, identity.userId, again and 1 or 0, trialed and 1 or 0, identity.at}
  end
  again, at = true, math.max(at, identity.at + 1)
end
local more = trialed and ',"trialed":true' or ''
call('SET', identity_key, string.format('{"userId":"%s","again":%s,"at":%d%s}', candidate,
                                        tostring(again), at, more))
return {OK, candidate, again and 1 or 0, trialed and 1 or 0, at}
