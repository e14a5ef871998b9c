-- The user as it is by now, or nil when there is none in this tenant, or it was deleted; with an
-- api_key other than '', also nil unless the user has that key. What time has changed is saved at the
-- latest when the script ends, by the loader.
local function read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
  local text = call('GET', user_key)
  if not text then return nil end
  local user = cjson.decode(text)
  if type(user) ~= 'table' or type(user.tenantId) ~= 'string' then error('this is no user') end
  if user.tenantId ~= tenant or user.closed then return nil end
  -- Another program may have written it: all that scripts compute with must be of the right kind.
  if type(user.group) ~= 'string' or type(user.createdAt) ~= 'string'
    or type(user.apiKeys) ~= 'table' or type(user.holds) ~= 'table' then
    error('the user has members of wrong kinds')
  end
  local left, used, granted = user.tokensLeft, user.tokensUsed, user.tokensGranted
  local overrun, entries = user.overrun, user.entries
  local limit, window = user.rateLimit, user.rateLimitWindow
  local expires_ms = user.keyExpiresAt
  if expires_ms == nil then expires_ms = 0 end -- false is no time
  -- As eight times is_amount, which costs more. To compare what is no number is an error by itself.
  if left < 0 or used < 0 or granted < 0 or overrun < 0 or entries < 0 or expires_ms < 0
    or limit < 0 or window < 0
    or left > LARGEST or used > LARGEST or granted > LARGEST or overrun > LARGEST
    or entries > LARGEST or expires_ms > LARGEST or limit > LARGEST or window > LARGEST
    or left % 1 + used % 1 + granted % 1 + overrun % 1 + entries % 1 + expires_ms % 1
      + limit % 1 + window % 1 ~= 0 then
    error('the user has amounts that are none')
  end
  -- As has_key, which would be 2 % of a charge, being made and called.
  local deadline = api_key == '' or user.apiKeys[api_key]
  if deadline ~= true and (not deadline or deadline <= now) then return nil end
  user_to_save, its_key, its_ledger_key, its_ledger_size = user, user_key, ledger_key, ledger_size
  if next(user.holds) or user.plan then let_time_pass(user, now) end
  return user
end
