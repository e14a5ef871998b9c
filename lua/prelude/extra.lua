--[[
  The two parts of a balance: what a group gives, which another group replaces, and what was granted
  beside it, `extra`, which nothing replaces. A group's is spent first. So `extra` is not touched by
  what spends: what is left of it is no more than what is left at all. Whatever gives or replaces
  tokens first reads how much that is, and then sets both.
]]

local function extra_left(user)
  local extra = user.extra or 0
  if not is_amount(extra) then error('the extra tokens are none') end
  return math.min(extra, user.tokensLeft + held(user))
end

-- The balance that a group's tokens make. What is held belongs to calls under way, and is of them.
local function balance_with(user, tokens, extra)
  return math.max(tokens + extra - held(user), 0)
end

-- Whether this balance, or all that was ever granted by it, is more than there may be.
local function is_too_large(user, tokens_left)
  return math.max(tokens_left, user.tokensGranted + tokens_left - user.tokensLeft) > LARGEST
end

-- Returns the signed change.
local function set_balance(user, tokens_left, extra)
  local change = tokens_left - user.tokensLeft
  user.tokensLeft, user.tokensGranted = tokens_left, user.tokensGranted + change
  user.extra = extra > 0 and extra or nil
  return change
end
