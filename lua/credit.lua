--[[
  Credit a pack, once: its tokens are extra ones, which stay whatever becomes of a plan.

  KEYS[1] user      string  the user, JSON
  KEYS[2] ledger    list    entries, newest first
  KEYS[3] payments  hash    as in plan.lua, with '' for the period
  ARGV[1] tenant
  ARGV[2] field             which names the payment
  ARGV[3] tokens
  ARGV[4] ledger_size       entries that are kept
  ARGV[5] ref               for the ledger, JSON
  Returns {status, tokens, tokens_left}: what the payment gave
    OK
    REPLAYED        it was credited before
    UNKNOWN_USER    {status} alone
    TOO_LARGE       {status} alone: the balance, or all that was ever granted, would be
]]
local user_key, ledger_key, payments_key = KEYS[1], KEYS[2], KEYS[3]
local tenant, field, tokens = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ledger_size, ref = tonumber(ARGV[4]), ARGV[5]

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user then return {UNKNOWN_USER} end
local kept = call('HGET', payments_key, field)
if kept then return {REPLAYED, cjson.decode(kept)[2], user.tokensLeft} end

local extra, tokens_left = extra_left(user) + tokens, user.tokensLeft + tokens
if is_too_large(user, tokens_left) then return {TOO_LARGE} end
append(user, now, 'pack', set_balance(user, tokens_left, extra), ref)
local payment = cjson.encode({now, tokens, 0, 0, '', 0})
save()
call('HSET', payments_key, field, payment)
return {OK, tokens, user.tokensLeft}
