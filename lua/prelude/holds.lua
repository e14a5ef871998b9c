local RETURNED_HOLDS = 50
-- How a hold over HTTP that took of its tenant's tokens_per_day says of which day (limited.py).
local DAY_OF_HOLD = '0000%x%x%x%x$'

-- Two functions that write into the user what must be known of holds that went back at their deadline.
local function notes_of_holds(user, now)
  --[[
    What the gateway's settles of such holds need to know, in the user's member `returned`:
    hold ID -> {until_ms} while nobody has settled it, then with the settle's reply
    {until_ms, tokens_taken, tokens_left}. It is kept for longer than a settle is repeated.
  ]]
  local function note_returned(hold_id, taken, tokens_left)
    local returned, count, oldest = user.returned or {}, 0, nil
    returned[hold_id] = {now + HOUR_MS, taken, tokens_left}
    for id, note in pairs(returned) do
      if note[1] <= now then
        returned[id] = nil
      else
        count = count + 1
        if not oldest or note[1] < returned[oldest][1] then oldest = id end
      end
    end
    if count > RETURNED_HOLDS then returned[oldest] = nil end
    user.returned = returned
  end

  -- They stay counted for the tenant's limit, until the user's next hold tells of them: the user's
  -- member `lapsed`, {day, tokens} of the latest day.
  local function note_lapsed(hold_id, tokens)
    local day, lapsed = string.match(hold_id, DAY_OF_HOLD), user.lapsed or {'', 0}
    if not day then return end
    if lapsed[1] < day then lapsed = {day, 0} end
    if lapsed[1] == day then lapsed[2] = lapsed[2] + tokens end
    user.lapsed = lapsed
  end

  return note_returned, note_lapsed
end

-- By all calls, or by those with the restricted key of this ID.
local function held(user, key_id)
  local tokens = 0
  for _, hold in pairs(user.holds) do
    if not key_id or hold[4] == key_id then tokens = tokens + hold[1] end
  end
  return tokens
end

-- Milliseconds until one more hold fits, 0 when it does; those past their deadline are gone.
local function wait_for_a_hold_ms(user, now)
  -- The user's JSON is read and written with each request, and grows with the holds in it.
  local MOST_HOLDS = 50
  local open, first_deadline_ms = 0, math.huge
  for _, hold in pairs(user.holds) do
    open, first_deadline_ms = open + 1, math.min(first_deadline_ms, hold[2])
  end
  return open < MOST_HOLDS and 0 or first_deadline_ms - now
end
