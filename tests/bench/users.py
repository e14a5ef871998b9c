"""Many users with known API keys, made quickly: copies of one who logged in over HTTP."""

from tests.api import User
from tests.processes import Valkey

_USER_ID = "%08x-0000-4000-8000-000000000000"
API_KEY = f"temp_{_USER_ID}"
_USERS_PER_CALL = 10_000

# Whatever keys a login makes, and whatever is in them: only the user's ID and API key are replaced.
_COPY = """
local first, last, id_format = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local user_id, api_key = string.gsub(ARGV[4], '%W', '%%%0'), string.gsub(ARGV[5], '%W', '%%%0')

-- The text as a format, with %s for each copy's ID.
local function template(text)
  text = string.gsub(text, '%%', '%%%%')
  text = string.gsub(text, user_id, '%%s')
  return (string.gsub(text, api_key, 'temp_%%s'))
end

local originals = {}
for i, key in ipairs(KEYS) do
  local kind, items = redis.call('TYPE', key).ok
  if kind == 'string' then items = {redis.call('GET', key)}
  elseif kind == 'list' then items = redis.call('LRANGE', key, 0, -1)
  else error('cannot copy a ' .. kind) end
  for j, item in ipairs(items) do items[j] = template(item) end
  originals[i] = {name = template(key), is_list = kind == 'list', items = items,
                  expires_at = redis.call('PEXPIRETIME', key)}
end
for number = first, last do
  local id = string.format(id_format, number)
  for _, original in ipairs(originals) do
    local name = string.format(original.name, id)
    for _, item in ipairs(original.items) do
      item = string.format(item, id, id, id, id)
      if original.is_list then redis.call('RPUSH', name, item)
      else redis.call('SET', name, item, 'PXAT', original.expires_at) end
    end
    if original.is_list then redis.call('PEXPIREAT', name, original.expires_at) end
  end
end
"""


def keys_of(valkey: Valkey, user: User) -> list[str]:
    """All keys in Redis that are about this user, found by its ID and its API key."""
    found = valkey.client.scan_iter(f"*{user.user_id}*", count=10_000)
    return [*sorted(str(key) for key in found), f"apiKey:{user.api_key}"]


def copy(valkey: Valkey, user: User, count: int) -> None:
    """Makes `count` users like this one, with the API keys API_KEY % 0 to API_KEY % (count-1)."""
    keys = keys_of(valkey, user)
    script = valkey.client.register_script(_COPY)
    for first in range(0, count, _USERS_PER_CALL):
        last = min(first + _USERS_PER_CALL, count) - 1
        script(keys=keys, args=[first, last, _USER_ID, user.user_id, user.api_key])
