--[[
  Create, replace or delete a tenant's config, as one compare-and-set. One of another type, which
  another program has stored, is replaced and deleted like any other.

  KEYS[1] config     string  the tenant's config, JSON
  KEYS[2] tombstone  string  says that the tenant was deleted; its ID is not given out again
  ARGV[1] action             create, replace or delete
  ARGV[2] text               the new config, JSON
  ARGV[3] if_match           SHA-1 sums of which the present config must have one, separated by
                             spaces; '' for any
  Returns {status}
    OK
    EXISTS          create: there is one, or was one
    ABSENT          replace, delete: there is none
    MISMATCH        the present config is another
]]
local config_key, tombstone_key = KEYS[1], KEYS[2]
local action, text, if_match = ARGV[1], ARGV[2], ARGV[3]

local present = redis.pcall('GET', config_key)
if type(present) == 'table' then present = '' end -- of another type
if action == 'create' then
  if present or call('EXISTS', tombstone_key) == 1 then return {EXISTS} end
  call('SET', config_key, text)
  return {OK}
end

if not present then return {ABSENT} end
if if_match ~= '' and not string.find(if_match, redis.sha1hex(present), 1, true) then
  return {MISMATCH}
end
if action == 'delete' then
  call('SET', tombstone_key, now_ms())
  call('DEL', config_key)
else
  call('SET', config_key, text)
end
return {OK}
