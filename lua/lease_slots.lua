--[[
  Lease slots of a tenant's limit of open streams to a worker, until a deadline that it moves on
  while it lives: those of a worker that died go back at theirs.

  KEYS[1] slots   hash  by worker: how many it has and until when, as '<slots> <ms>'
  ARGV[1] limit         of all workers together
  ARGV[2] worker        its random ID
  ARGV[3] open          the streams that it has; they are counted whatever the limit is
  ARGV[4] least         lease no less, in all
  ARGV[5] most          in all
  ARGV[6] ttl_ms
  Returns {status, slots, left}
    OK            slots: what the worker has now, in all
    RATE_LIMITED  slots is 0: it has what it had
]]
local slots_key, limit, worker = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local open, least, most, ttl_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]

local now = now_ms()
local of_others, dead, fields = 0, {}, call('HGETALL', slots_key)
for i = 1, #fields, 2 do
  if fields[i] ~= worker then
    local slots, deadline_ms = string.match(fields[i + 1], '^(%d+) (%d+)$')
    if slots and tonumber(deadline_ms) > now then
      of_others = of_others + tonumber(slots)
    else
      dead[#dead + 1] = fields[i]
    end
  end
end

local left = math.max(limit - of_others, 0)
if least > open and least > left then return {RATE_LIMITED, 0, left} end
local slots = math.max(open, math.min(most, left))
for _, one in ipairs(dead) do call('HDEL', slots_key, one) end
if slots == 0 then
  call('HDEL', slots_key, worker)
else
  call('HSET', slots_key, worker, string.format('%d %d', slots, now + ttl_ms))
  call('PEXPIRE', slots_key, ttl_ms)
end
return {OK, slots, math.max(left - slots, 0)}
