--[[
  Give a user the limits of the plan that it subscribes to, or end its plan, and credit what was paid
  for it, each payment once: if this answer of Stripe's counts (ticket.lua).

  The tokens of a new period replace what is left of the allowance; an upgrade within a period adds
  the part of the difference that the rest of the period is of all of it. A plan that has ended, and a
  period before one that was paid for, give nothing.

  KEYS[1] user      string  the user, JSON
  KEYS[2] ledger    list    entries, newest first
  KEYS[3] account   hash    what is known of an identified user
  KEYS[4] payments  hash    by field: [ms, tokens, taken, due, period, ticket], JSON: when, what it
                            gave, what of that was taken back, and was to be; the ticket of
                            takeback.lua
  ARGV[1] tenant
  ARGV[2] ticket            taken before Stripe was asked
  ARGV[3] group             the plan's, '' for none
  ARGV[4] rate_limit        the group's, requests in one window
  ARGV[5] rate_limit_window  the group's, seconds
  ARGV[6] until_ms          when the plan ends, if nothing more is told of it
  ARGV[7] subscription      what the user is told of it, JSON
  ARGV[8] paid              the payments, the oldest first: [[field, kind, tokens, period, start_ms,
                            end_ms, from_ms, ref], ...], JSON. kind: cycle, trial (of the first
                            period), upgrade. period: the subscription's ID and the period's begin.
                            from_ms: when an upgrade began. ref: for the ledger, JSON
  ARGV[9] ledger_size       entries that are kept
  ARGV[10] ref              for the ledger, JSON
  Returns {status, {field, ...}, {field, ...}}: payments that were credited now; and those that would
           have made the balance, or all that was ever granted, too large
    OK
    STALE           {status} alone: a newer answer counts
    OVERTAKEN       {status} alone: a newer one is being asked for
    UNKNOWN_USER    {status} alone
]]
local user_key, ledger_key, account_key, payments_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, ticket, group = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local rate_limit, rate_limit_window, until_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local subscription, to_pay = ARGV[7], cjson.decode(ARGV[8])
local ledger_size, ref = tonumber(ARGV[9]), ARGV[10]

local now = now_ms()
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user then return {UNKNOWN_USER} end
if ticket <= tonumber(call('HGET', account_key, 'applied') or 0) then return {STALE} end
if ticket < tonumber(call('HGET', account_key, 'ticket') or 0) then return {OVERTAKEN} end

if group ~= '' then
  user.plan = user.plan or {
    group = user.group, rateLimit = user.rateLimit, rateLimitWindow = user.rateLimitWindow,
  }
  user.plan['until'] = until_ms
  user.group, user.rateLimit, user.rateLimitWindow = group, rate_limit, rate_limit_window
elseif user.plan then
  user.plan['until'] = now
end
if user.plan then let_time_pass(user, now, ref) end

-- The period that was paid for last: its name, its begin, and the tokens of the largest plan in it.
local paid = cjson.decode(call('HGET', account_key, 'period') or '["",0,0]')
local trialed = call('HGET', account_key, 'trialed')

-- What it gives, false for nothing; and whether that takes the place of the allowance.
local function worth(kind, tokens, period, start_ms, end_ms, from_ms)
  if kind == 'upgrade' then
    local rest = (end_ms - from_ms) / (end_ms - start_ms)
    return period == paid[1] and math.max(math.floor((tokens - paid[3]) * rest), 0), false
  end
  local is_new_period = period ~= paid[1] and start_ms >= paid[2]
  return is_new_period and not (kind == 'trial' and trialed) and tokens, true
end

-- The plan's first tokens take the place of the allowance that the user had before.
local function give(tokens, replaces, op, its_ref)
  local extra, is_first = extra_left(user), not user.plan.freeLeft
  local allowance = user.tokensLeft + held(user) - extra
  local new_allowance = (is_first or replaces) and tokens or allowance + tokens
  local tokens_left = balance_with(user, new_allowance, extra)
  if is_too_large(user, tokens_left) then return false end
  if is_first then user.plan.freeLeft = allowance end
  append(user, now, op, set_balance(user, tokens_left, extra), its_ref)
  return true
end

local kept, credited, too_large = {}, {}, {}
for _, payment in ipairs(to_pay) do
  local field, kind, tokens, period, start_ms, end_ms, from_ms, its_ref = unpack(payment)
  if not is_amount(tokens) or end_ms <= start_ms then error('a payment that is none') end
  local op, is_known = kind == 'upgrade' and 'upgrade' or 'refill', call('HGET', payments_key, field)
  local given, replaces
  if not is_known and user.plan then
    given, replaces = worth(kind, tokens, period, start_ms, end_ms, from_ms)
  end
  local is_one = given and (given > 0 or replaces)
  if is_one and not give(given, replaces, op, its_ref) then
    too_large[#too_large + 1] = field
  elseif not is_known then
    if not is_one then append(user, now, op, 0, its_ref) end
    kept[#kept + 1] = {field, cjson.encode({now, is_one and given or 0, 0, 0, period, 0})}
    credited[#credited + 1] = field
    if kind == 'upgrade' and period == paid[1] then
      paid[3] = math.max(paid[3], tokens)
    elseif kind ~= 'upgrade' and period ~= paid[1] and start_ms >= paid[2] then
      paid = {period, start_ms, tokens}
    end
    if kind == 'trial' then trialed = trialed or now end
  end
end

local paid_text = cjson.encode(paid)
save()
for _, payment in ipairs(kept) do call('HSET', payments_key, payment[1], payment[2]) end
if trialed then call('HSET', account_key, 'trialed', trialed) end
call('HSET', account_key, 'applied', ticket, 'subscription', subscription, 'period', paid_text)
return {OK, credited, too_large}
