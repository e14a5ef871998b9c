--[[
  Lease units of a tenant's limit to a worker, which then admits requests by them without asking:
  tokens of a day, or calls of a minute, both of Redis' clock and in UTC. What the worker has left
  of them it gives back with its next lease; a worker that dies does not.

  KEYS[1] counter  hash   window: the number of the day or minute; taken: what is leased of it;
                          held:<worker>: what its open calls hold of that, and when it said so
  ARGV[1] limit           units in a window
  ARGV[2] window_ms
  ARGV[3] least           lease no less
  ARGV[4] most
  ARGV[5] ahead           beyond `most`, for later requests, while there is plenty
  ARGV[6] share           plenty: `ahead` is at most one in so many of what is left
  ARGV[7] returned        units that are given back; below 0: that were used without a lease
  ARGV[8] returned_window  when these were leased; those of a window that is over do not count
  ARGV[9] worker
  ARGV[10] open           units that its open calls hold, of which they will give some back
  Returns {status, units, left, window, ends_in_ms}
    OK              units: all that are leased now, some of them ahead
    RATE_LIMITED    units is 0: fewer than `least` are left
    TOO_MANY_HOLDS  as RATE_LIMITED, but open calls, of any worker, hold what is missing
]]
local counter_key = KEYS[1]
local limit, window_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local least, most, ahead = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local share, returned, returned_window = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local worker, open = ARGV[9], tonumber(ARGV[10])

if not is_amount(least) or not is_amount(most) or least > most or not is_amount(ahead)
  or not is_amount(open) then
  return redis.error_reply('ERR units out of range')
end
local now = now_ms()
local window = math.floor(now / window_ms)
local stored_window = tonumber(call('HGET', counter_key, 'window') or 0)
-- The clock of a new primary may be a little behind, and the window not begin once more.
if stored_window == window + 1 then window = stored_window end
local taken = stored_window == window and tonumber(call('HGET', counter_key, 'taken')) or 0
if not (taken >= 0 and taken <= 2 * LARGEST) then error('what is taken is no number of units') end
local present = taken
if returned_window == window then
  -- What is used without a lease is as much as balances allow, and integers must stay exact.
  taken = math.min(math.max(taken - returned, 0), 2 * LARGEST)
end

local left = math.max(limit - taken, 0)
local status, units = RATE_LIMITED, 0
if left >= least then
  status, units = OK, math.min(most, left)
  units = units + math.min(ahead, math.floor((left - units) / share))
end
-- A request that would do with less holds them, and gives some back; others use them up.
if status == OK and most > least then open = open + units end
local ends_ms = (window + 1) * window_ms
if taken + units ~= present or open > 0 then
  call('HSET', counter_key, 'window', window, 'taken', taken + units)
  call('PEXPIREAT', counter_key, ends_ms + 60000)
end
if open > 0 then
  call('HSET', counter_key, 'held:' .. worker, string.format('%d %d', open, now))
else
  call('HDEL', counter_key, 'held:' .. worker)
end

local function held_by_all()
  -- Who has not said so for longer may be dead, or has done nothing since.
  local BELIEVED_MS = 60000
  local sum, values = 0, call('HGETALL', counter_key)
  for _, value in ipairs(values) do
    local units_held, at = string.match(value, '^(%d+) (%d+)$')
    if units_held and at + BELIEVED_MS > now then sum = sum + units_held end
  end
  return sum
end

if status == RATE_LIMITED and left + held_by_all() >= least then status = TOO_MANY_HOLDS end
return {status, units, left - units, window, ends_ms - now}
