--[[
  API keys: the user's `apiKeys` has them, each with true, or with its deadline in ms, from which on
  it is refused. A record `apiKey:<key>` leads to the user: it expires with it or later, of a key with
  a deadline then or later.
]]

local function has_key(user, api_key, now)
  local lasts = user.apiKeys[api_key]
  return lasts == true or lasts and lasts > now
end

-- Those without a deadline. Of the others those that are past theirs go.
local function lasting_keys(user, now)
  local lasting = {}
  for api_key in pairs(user.apiKeys) do
    if type(api_key) ~= 'string' then error('the API keys are a list') end
    if user.apiKeys[api_key] == true then
      lasting[#lasting + 1] = api_key
    elseif not has_key(user, api_key, now) then
      user.apiKeys[api_key] = nil
    end
  end
  return lasting
end

-- Those of a list that are not in another one, which is JSON.
local function keys_beside(api_keys, others)
  local is_other, found = {}, {}
  for _, api_key in ipairs(cjson.decode(others)) do is_other[api_key] = true end
  for _, api_key in ipairs(api_keys) do
    if not is_other[api_key] then found[#found + 1] = api_key end
  end
  return found
end

--[[
  Restricted keys: of a user, for less than all that the user may spend. A hash has them, by ID:
    <id>        JSON, never changed: digest, of the key, which begins with the ID; maker, the API key
                that it dies with; tokens, that it may spend; createdAt and expiresAt, ms; limits,
                for the server alone
    <id>:spent  the tokens that it has spent
  What it holds is in the user's holds, whose fourth part is its ID: so it goes back with them.
]]

-- The one with this ID: what the JSON has, and `id` and `spent`. nil if there is none.
local function read_key(keys_key, id)
  local text = call('HGET', keys_key, id)
  if not text then return nil end
  local key, spent = cjson.decode(text), tonumber(call('HGET', keys_key, id .. ':spent') or 0)
  if type(key) ~= 'table' or type(key.digest) ~= 'string' or type(key.maker) ~= 'string'
    or key.maker == '' or not is_amount(key.tokens) or not is_amount(spent)
    or not is_amount(key.createdAt) or not is_amount(key.expiresAt) then
    error('the restricted key is none')
  end
  key.id, key.spent = id, spent
  return key
end

-- The one that was presented, as `rk:<digest>`; nil for a full one, and for one that has expired. Its
-- user must have its maker still, as read_user finds.
local function open_key(keys_key, api_key, now)
  if string.sub(api_key, 1, 3) ~= 'rk:' then return nil end
  local digest = string.sub(api_key, 4)
  local key = read_key(keys_key, string.sub(digest, 1, 16))
  if key and key.digest == digest and key.expiresAt > now then return key end
end

-- All of a user's: those that are alive, and the IDs of the others.
local function read_keys(keys_key, user, now)
  local live, dead, fields = {}, {}, call('HGETALL', keys_key)
  for i = 1, #fields, 2 do
    local key = not string.find(fields[i], ':') and read_key(keys_key, fields[i])
    if key and has_key(user, key.maker, now) and key.expiresAt > now then
      key.text = fields[i + 1]
      live[#live + 1] = key
    elseif key then
      dead[#dead + 1] = key.id
    end
  end
  return live, dead
end

-- What is left to spend with this key, nil for a full one: of the balance, and of its own tokens.
local function left_for(user, key)
  if not key then return user.tokensLeft end
  return math.max(math.min(user.tokensLeft, key.tokens - key.spent - held(user, key.id)), 0)
end

-- What of all that is held could come back to that.
local function held_for(user, key)
  if not key then return held(user) end
  local most = math.min(user.tokensLeft + held(user), key.tokens - key.spent)
  return math.max(most - left_for(user, key), 0)
end
