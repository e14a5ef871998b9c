--[[
  Take the calls that are to be looked at now: they are due again soon, unless the taker says when
  they are.

  KEYS[1] calls    zset    all of them, by when, ms
  KEYS[2] counter  string  the worker that counts them, so that one does
  ARGV[1] worker
  ARGV[2] most
  ARGV[3] lease_ms         until they are due again
  Returns {status, {name, ...}, count}: count of all, 0 to all workers but one
    OK
]]
local calls_key, counter_key = KEYS[1], KEYS[2]
local worker, most, lease_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local COUNTER_MS = 5000

local now, count = now_ms(), 0
local names = call('ZRANGE', calls_key, '-inf', now, 'BYSCORE', 'LIMIT', 0, most)
local counter = call('GET', counter_key)
if not counter or counter == worker then
  count = call('ZCARD', calls_key)
  call('SET', counter_key, worker, 'PX', COUNTER_MS)
end
for _, name in ipairs(names) do call('ZADD', calls_key, now + lease_ms, name) end
return {OK, names, count}
