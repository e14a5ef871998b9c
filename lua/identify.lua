--[[
  Give a user the identity that a login came with, and the API key that it is answered with. A user
  that there is not is made; an anonymous one joins the login's group and is permanent. Done again,
  it changes no balance.

  KEYS[1] user     string  the user, JSON
  KEYS[2] ledger   list    entries, newest first
  KEYS[3] account  hash    what is known of its logins
  KEYS[4] keys     hash    the user's restricted keys
  ARGV[1] tenant
  ARGV[2] identity        <provider>:<hash>
  ARGV[3] group           that the login leads to
  ARGV[4] tokens          the group's
  ARGV[5] rate_limit      the group's
  ARGV[6] rate_limit_window  the group's, seconds
  ARGV[7] again           1: the identity has had its free tokens; 0
  ARGV[8] trialed         1: the identity has had a trial; 0
  ARGV[9] api_key         whose record there is
  ARGV[10] is_new         1: made for this login; 0: that which the login came with
  ARGV[11] alone          1: all other keys end, the restricted ones too; 0
  ARGV[12] confirmed      keys whose records do not expire, JSON
  ARGV[13] details        other fields of the account, JSON; null removes one
  ARGV[14] ledger_size    entries that are kept
  ARGV[15] ref            for the ledger, JSON
  ARGV[16] claimed_at     of the claim by which the identity is the user's, ms
  Returns {status, group, tokens_left, rate_limit, rate_limit_window, is_created, is_linked,
           {api_key, ...}, {ended, ...}}: keys that are to be permanent, and those whose records are
           to be removed
    OK
    KEYS_EXPIRE  {status, {api_key, ...}}: these are to be made permanent first, since the user will
                 be: a key may outlive its user, but not the reverse
    UNKNOWN_KEY  {status} alone: the user has lost the key that the login came with, or soon will
    CLOSING      {status} alone: the user is being deleted, or was
    MISMATCH     {status} alone: the claim is over, since the identity was taken from the user
]]
local user_key, ledger_key, account_key, keys_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tenant, identity, group, tokens = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local rate_limit, rate_limit_window = tonumber(ARGV[5]), tonumber(ARGV[6])
local again, trialed, api_key, is_new = ARGV[7] == '1', ARGV[8] == '1', ARGV[9], ARGV[10] == '1'
local alone, confirmed, details = ARGV[11] == '1', ARGV[12], ARGV[13]
local ledger_size, ref, claimed_at = tonumber(ARGV[14]), ARGV[15], tonumber(ARGV[16])

if not is_amount(tokens) then return redis.error_reply('ERR tokens out of range') end
local now = now_ms()
local account, fields = read_account(account_key), cjson.decode(details)
local user = read_user(user_key, ledger_key, ledger_size, tenant, '', now)
if not user and call('EXISTS', user_key) == 1 or user and user.closing then return {CLOSING} end
local unlinked = tonumber(account['unlinked:' .. identity] or 0)
if unlinked >= claimed_at then return {MISMATCH} end
-- One with a deadline was given up for another: it is not to stay by this.
if not is_new and not (user and user.apiKeys[api_key] == true) then return {UNKNOWN_KEY} end

local is_created = not user
if not is_created and expiry(user_key)[1] then
  local expiring = keys_beside(lasting_keys(user, now), confirmed)
  if #expiring > 0 then return {KEYS_EXPIRE, expiring} end
end

local field = 'identity:' .. identity
local linked, is_first = account[field], #names_of(account, 'identity') == 0
if is_created then
  user = new_user(tenant, api_key, group, again and 0 or tokens, rate_limit, rate_limit_window, now)
  user_to_save, its_key, its_ledger_key, its_ledger_size = user, user_key, ledger_key, ledger_size
  append(user, now, 'grant', user.tokensLeft, ref)
elseif is_first and user.group == TEMPORARY then
  local extra, tokens_left = extra_left(user), user.tokensLeft
  -- No login is refused because of more than there may be.
  local most = math.min(LARGEST, LARGEST - user.tokensGranted + tokens_left)
  if not again then tokens_left = math.min(balance_with(user, tokens, extra), most) end
  local change = set_balance(user, tokens_left, extra)
  user.group, user.rateLimit, user.rateLimitWindow = group, rate_limit, rate_limit_window
  append(user, now, 'group', change, ref)
end
make_permanent(user)

-- Later than any other login with a key, so that they can be told apart.
local at, ended = now, {}
for key in pairs(user.apiKeys) do at = math.max(at, login_of(account, key) + 1) end
if alone then
  for key in pairs(user.apiKeys) do ended[#ended + 1] = key ~= api_key and key or nil end
  user.apiKeys = {}
end
user.apiKeys[api_key] = true
for _, key in ipairs(remove_surplus(user, account, api_key)) do ended[#ended + 1] = key end

if is_created then call('DEL', ledger_key) end
save()
if alone then call('DEL', keys_key) end
for _, key in ipairs(names_of(account, 'ended')) do
  if tonumber(account['ended:' .. key]) <= now then ended[#ended + 1] = key end
end
note_ended(account_key, ended, now)
for _, key in ipairs(names_of(account, 'key')) do
  if not user.apiKeys[key] then call('HDEL', account_key, 'key:' .. key, 'new:' .. key) end
end
call('HSET', account_key, 'key:' .. api_key, at)
if is_new then call('HSET', account_key, 'new:' .. api_key, now) end
if unlinked > 0 then call('HDEL', account_key, 'unlinked:' .. identity) end
call('HSET', account_key, field, (linked and string.match(linked, '^%d+') or now) .. ' ' .. now)
if trialed and not account.trialed then call('HSET', account_key, 'trialed', now) end
for name, value in pairs(fields) do
  if value == cjson.null then
    call('HDEL', account_key, name)
  else
    call('HSET', account_key, name, value)
  end
end
return {OK, user.group, user.tokensLeft, user.rateLimit, user.rateLimitWindow, is_created and 1 or 0,
        linked and 0 or 1, lasting_keys(user, now), ended}
