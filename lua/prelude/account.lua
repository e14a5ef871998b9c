--[[
  The account of a user that has signed in, a hash:
    identity:<provider>:<hash>  when it was linked, and when it last signed in: <ms> <ms>
    key:<api_key>               when a login last came with this key or was answered with it, ms
    new:<api_key>               when a login listed the key, ms; its own record is still to be made
                                permanent, and nobody has been told it
    ended:<api_key>             since when a key is the user's no more, ms; its own record is still
                                to be removed
    unlinked:<provider>:<hash>  of an identity that was taken from the user: the claim by which it
                                was the user's, ms
    stripeCustomer, subscription, ticket, applied, period, trialed, syncedAt
                                of what it has bought: customer.lua, ticket.lua, plan.lua
  and what is known of the person, under names of its own.
]]
local function read_account(account_key)
  local account, fields = {}, call('HGETALL', account_key)
  for i = 1, #fields, 2 do account[fields[i]] = fields[i + 1] end
  return account
end

-- What is behind the kind in the names of fields of this kind.
local function names_of(account, kind)
  local names, first = {}, #kind + 2
  for field in pairs(account) do
    if string.sub(field, 1, first - 1) == kind .. ':' then
      names[#names + 1] = string.sub(field, first)
    end
  end
  return names
end

-- When a login last had to do with this key.
local function login_of(account, api_key)
  return tonumber(account['key:' .. api_key] or 0)
end

-- Takes keys from the user, so that with this one there are not too many of logins; returns them.
-- First go those that have a deadline, then those whose login is longest ago; never that of an
-- anonymous login, nor the one that this one replaces.
local function remove_surplus(user, account, api_key, replaced)
  local MOST_LOGIN_KEYS = 20
  local LOGIN_KEY = 'key_'
  local found, removed = {}, {}
  local function rank(key)
    local lasts = user.apiKeys[key]
    return lasts == true and LARGEST + login_of(account, key) or lasts
  end
  for key in pairs(user.apiKeys) do
    if key ~= api_key and key ~= replaced and string.sub(key, 1, #LOGIN_KEY) == LOGIN_KEY then
      found[#found + 1] = key
    end
  end
  table.sort(found, function(one, other) return rank(one) > rank(other) end)
  local most = string.sub(api_key, 1, #LOGIN_KEY) == LOGIN_KEY and MOST_LOGIN_KEYS - 1
    or MOST_LOGIN_KEYS
  for i = most + 1, #found do
    removed[#removed + 1] = found[i]
    user.apiKeys[found[i]] = nil
  end
  return removed
end

-- Notes keys that the user has lost, until the caller has removed their records.
local function note_ended(account_key, api_keys, since_ms)
  for _, api_key in ipairs(api_keys) do
    call('HDEL', account_key, 'key:' .. api_key, 'new:' .. api_key)
    call('HSET', account_key, 'ended:' .. api_key, since_ms)
  end
end
