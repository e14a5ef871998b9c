--[[
  Take back what a payment gave, as far as its money went back or is disputed; or return what was
  taken, when a dispute is won. Before anything is taken all holds go back, as at their deadline: what
  is held must not be out of reach. What was spent already is overrun: no balance falls below 0.

  KEYS[1] user      string  the user, JSON
  KEYS[2] ledger    list    entries, newest first
  KEYS[3] account   hash    what is known of an identified user
  KEYS[4] payments  hash    as in plan.lua; and, while it is disputed, `disputed:<field>`
  ARGV[1] tenant
  ARGV[2] field             which names the payment
  ARGV[3] ticket            taken before Stripe was asked
  ARGV[4] returned          the part of `paid` that went back, or is disputed
  ARGV[5] paid              of the least unit of its currency
  ARGV[6] is_disputed       1: a dispute is open or lost; else 0
  ARGV[7] ledger_size       entries that are kept
  ARGV[8] ref               for the ledger, JSON
  Returns {status, tokens, tokens_left}: tokens that were taken, less than 0 for what was returned
    OK
    STALE           {status} alone: a newer answer counts
    OVERTAKEN       {status} alone: a newer one is being asked for
    ABSENT          {status} alone: there is no such payment
    UNKNOWN_USER    {status} alone
    TOO_LARGE       {status} alone: the balance would be
]]
local user_key, ledger_key, account_key, payments_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, field, ticket = ARGV[1], ARGV[2], tonumber(ARGV[3])
local returned, paid, is_disputed = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local ledger_size, ref = tonumber(ARGV[7]), ARGV[8]

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user then return {UNKNOWN_USER} end
local kept = call('HGET', payments_key, field)
if not kept then return {ABSENT} end
local at, tokens, taken, due, period, applied = unpack(cjson.decode(kept))
if ticket <= applied then return {STALE} end
if ticket < tonumber(call('HGET', account_key, 'ticket') or 0) then return {OVERTAKEN} end

-- A pack has no period. A plan's tokens are there within theirs alone, while the plan lasts.
local is_pack = period == ''
local paid_period = cjson.decode(call('HGET', account_key, 'period') or '[""]')[1]
local is_current = is_pack or (user.plan and user.plan.freeLeft and period == paid_period)
local new_due = returned >= paid and tokens or math.floor(tokens * returned / paid)
local more = new_due - due
local take = math.min(new_due - taken, 0) -- a dispute is won: what was taken too much
local overrun = 0
if more > 0 and is_current then
  for _, hold in pairs(user.holds) do hold[2] = now end
  let_time_pass(user, now)
  take = math.min(more, is_pack and user.tokensLeft or user.tokensLeft - extra_left(user))
  overrun = more - take
end
taken = taken + take
if not is_current then take = 0 end

local extra, tokens_left = extra_left(user), user.tokensLeft - take
if is_pack then extra = math.max(extra - take, 0) end
if is_too_large(user, tokens_left) then return {TOO_LARGE} end
if more ~= 0 then append(user, now, 'refund', set_balance(user, tokens_left, extra), ref) end
if overrun > 0 then
  user.overrun = math.min(user.overrun + overrun, LARGEST)
  append(user, now, 'overrun', 0, string.format('{"overrun":%d}', overrun))
end

local payment = cjson.encode({at, tokens, taken, new_due, period, ticket})
save()
call('HSET', payments_key, field, payment)
if is_disputed then
  call('HSET', payments_key, 'disputed:' .. field, ticket)
else
  call('HDEL', payments_key, 'disputed:' .. field)
end
return {OK, take, user.tokensLeft}
