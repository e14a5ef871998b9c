--[[
  Read what a user has bought; and note the user's customer at Stripe, where there is none yet.

  KEYS[1] user      string  the user, JSON
  KEYS[2] ledger    list    entries, newest first
  KEYS[3] account   hash    what is known of an identified user
  KEYS[4] payments  hash    payments by their field
  ARGV[1] tenant
  ARGV[2] api_key
  ARGV[3] customer          '' to read alone
  ARGV[4] ledger_size       entries that are kept
  Returns {status, customer, subscription, is_disputed, is_identified, is_recent}: customer '' for
           none; subscription as plan.lua was told it, '' if no plan runs; the last three 0 or 1, of
           which the last says that a login had to do with the key within the last hour
    OK
    UNKNOWN_KEY     {status} alone: no such user, or it does not have that key
]]
local user_key, ledger_key, account_key, payments_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, api_key, customer, ledger_size = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, api_key, now)
if not user then return {UNKNOWN_KEY} end
local function has_field(key, beginning)
  local fields = call('HGETALL', key)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, #beginning) == beginning then return 1 end
  end
  return 0
end
local known = call('HGET', account_key, 'stripeCustomer') or ''
local is_identified = has_field(account_key, 'identity:')
local is_disputed = has_field(payments_key, 'disputed:')
if new_entries then save() end -- before all else, as base.lua says
if known == '' and customer ~= '' then
  call('HSET', account_key, 'stripeCustomer', customer)
  known = customer
end
local subscription = user.plan and call('HGET', account_key, 'subscription') or ''
local is_recent = tonumber(call('HGET', account_key, 'key:' .. api_key) or 0) > now - HOUR_MS
return {OK, known, subscription, is_disputed, is_identified, is_recent and 1 or 0}
