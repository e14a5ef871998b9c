-- What this run writes by save(): the user, and the entries that its ledger gets.
local user_to_save, its_key, its_ledger_key, its_ledger_size
local new_entries, expires_at
-- As expires_at of a user that has no end.
local NEVER = 0

--[[
  An entry of the ledger: `tokens` is the signed change of tokensLeft, which user.tokensLeft already
  has; `ref` is JSON. The user's `entries` counts them. An entry is an array, half the size of an
  object: [number, time_ms, op, tokens, tokensLeft, ref].
]]
local function append(user, now, op, tokens, ref)
  user.entries = user.entries + 1
  new_entries = new_entries or {}
  new_entries[#new_entries + 1] = string.format('[%d,%d,"%s",%d,%d,%s]', user.entries, now, op,
                                                tokens, user.tokensLeft, ref)
end

--[[
  A temporary user that spends is there to stay: after its first time it lives as long as its API
  key, which login.lua left in its record, and later for as long as it is used (renew.lua). Returns
  when it expires, below 0 for never; but to ask for that costs 2 % of a charge, so of one that goes
  on spending it is asked, and returned, only now and then.
]]
local function prolong(user, now, user_key, last_ms)
  if user.keyExpiresAt then
    if user.keyExpiresAt > now then expires_at = user.keyExpiresAt end
    user.keyExpiresAt = nil
  elseif user.group == TEMPORARY and (now - last_ms > 600000 or user.entries % 16 == 0) then
    return call('PEXPIRETIME', user_key)
  end
end

-- All keys of the user that have no deadline must be permanent.
local function make_permanent(user)
  user.keyExpiresAt, expires_at = nil, NEVER
end

-- Writes the user and its new entries.
local function save()
  local text, ledger_size = cjson.encode(user_to_save), its_ledger_size
  if new_entries then
    local length = call('LPUSH', its_ledger_key, unpack(new_entries))
    if user_to_save.group == TEMPORARY then ledger_size = math.min(ledger_size, TEMPORARY_ENTRIES) end
    if length > ledger_size then call('LTRIM', its_ledger_key, 0, ledger_size - 1) end
    if length == #new_entries then
      local at = call('PEXPIRETIME', its_key)
      if at >= 0 then call('PEXPIREAT', its_ledger_key, at) end
    end
  end
  call('SET', its_key, text, 'KEEPTTL')
  if expires_at == NEVER then
    call('PERSIST', its_key)
    call('PERSIST', its_ledger_key)
  elseif expires_at then
    call('PEXPIREAT', its_key, expires_at)
    call('PEXPIREAT', its_ledger_key, expires_at)
  end
  new_entries, expires_at = nil, nil
end
