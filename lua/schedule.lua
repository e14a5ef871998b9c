--[[
  Say when a call that is billed by time is to be looked at.

  KEYS[1] calls  zset  all of them that are not settled, by when, ms
  ARGV[1] name
  ARGV[2] delay_ms     from now
  ARGV[3] how          new: it is added; again: if it is there; sooner: likewise, and if that is
                       earlier than it was; never: it is settled
  Returns {status}
    OK
]]
local calls_key, name, delay_ms, how = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]

local at = now_ms() + delay_ms
if how == 'new' then
  call('ZADD', calls_key, at, name)
elseif how == 'again' then
  call('ZADD', calls_key, 'XX', at, name)
elseif how == 'sooner' then
  call('ZADD', calls_key, 'XX', 'LT', at, name)
else
  call('ZREM', calls_key, name)
end
return {OK}
