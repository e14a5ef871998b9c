local expired_holds = 0 -- by this run; the loader puts it into the reply

--[[
  What the clock alone has brought about: gives tokens back to the balance whose holds are past their
  deadline, as the holder has died; and ends a plan that is overdue, with this ref for the ledger.

  The user's member `plan`, of subscribers alone, is what they fall back to:
    until      ms: when the plan ends, unless another period is told before
    group, rateLimit, rateLimitWindow
    freeLeft   what was left of the allowance when the plan's first tokens took its place; nil while
               none have
]]
local function let_time_pass(user, now, ref)
  local function return_expired_holds()
    local note_returned, note_lapsed = notes_of_holds(user, now)
    for hold_id, hold in pairs(user.holds) do
      if not is_amount(hold[1]) then error('a hold of ' .. tostring(hold[1])) end
      if hold[2] <= now then
        user.holds[hold_id] = nil
        expired_holds = expired_holds + 1
        user.tokensLeft = user.tokensLeft + hold[1]
        append(user, now, 'expire', hold[1], '{}')
        if hold[3] == 'own' then
          note_returned(hold_id)
        else
          note_lapsed(hold_id, hold[1])
        end
      end
    end
  end

  local function end_plan()
    local plan, change = user.plan, 0
    if type(plan.group) ~= 'string' or not is_amount(plan.rateLimit)
      or not is_amount(plan.rateLimitWindow) or not is_amount(plan.freeLeft or 0)
      or not is_amount(user.extra or 0) then
      error('the plan has members of wrong kinds')
    end
    if plan.freeLeft then
      -- As extra.lua has it, whose functions few scripts need.
      local in_holds = held(user)
      user.extra = math.min(user.extra or 0, user.tokensLeft + in_holds)
      change = math.max(plan.freeLeft + user.extra - in_holds, 0) - user.tokensLeft
    end
    user.tokensLeft, user.tokensGranted = user.tokensLeft + change, user.tokensGranted + change
    user.group, user.rateLimit, user.rateLimitWindow = plan.group, plan.rateLimit, plan.rateLimitWindow
    user.plan = nil
    append(user, now, 'lapse', change, ref or '{}')
  end

  if next(user.holds) then return_expired_holds() end
  if user.plan and user.plan['until'] <= now then end_plan() end
end
