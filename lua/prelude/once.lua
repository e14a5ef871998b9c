local ONCE_FIELDS = 1000

--[[
  What is kept for an Idempotency-Key: {status, packed, given_ms, unpacked, wait_ms, remember}.
    status              nil at its first use, else REPLAYED or KEY_REUSED
    packed, given_ms    the first reply as the script packed it, and when that was
    unpacked            instead of these, what a server before this one kept as JSON
    wait_ms(group)      milliseconds until one more key fits, 0 when it does
    remember(packed)    keeps a reply

  It is packed so that it is below the 64 bytes up to which Redis keeps a hash in little memory: when
  it expires, the request's fingerprint, the reply. The JSON of old is [expires_ms, fingerprint,
  reply], in a field of another name.
]]
local function open_once(once_key, field, old_field, fingerprint, now)
  local once, packed_fingerprint = {}, fingerprint
  if #fingerprint > 12 then packed_fingerprint = string.sub(redis.sha1hex(fingerprint), 1, 12) end

  local function kept_until(kept)
    if string.sub(kept, 1, 1) == '[' then return cjson.decode(kept)[1] end
    return (struct.unpack('>I6', kept))
  end

  -- The field `sweep` says when the next key expires, so that a full hash is not read through again
  -- before then.
  function once.wait_ms(group)
    local most = group == TEMPORARY and TEMPORARY_ONCE_FIELDS or ONCE_FIELDS
    if call('HLEN', once_key) < most then return 0 end
    local next_expiry = tonumber(call('HGET', once_key, 'sweep') or 0)
    if next_expiry > now then return next_expiry - now end
    call('HDEL', once_key, 'sweep')
    next_expiry = now + DAY_MS
    local fields, expired = call('HGETALL', once_key), {}
    for i = 1, #fields, 2 do
      local expires = kept_until(fields[i + 1])
      if expires <= now then
        expired[#expired + 1] = fields[i]
      else
        next_expiry = math.min(next_expiry, expires)
      end
    end
    if #expired > 0 then
      -- One by one: grants are not capped, and unpack() takes at most some 8,000.
      for _, name in ipairs(expired) do call('HDEL', once_key, name) end
      if call('HLEN', once_key) < most then return 0 end
    end
    call('HSET', once_key, 'sweep', next_expiry)
    return next_expiry - now
  end

  function once.remember(packed)
    local kept = struct.pack('>I6Bc0', now + DAY_MS, #packed_fingerprint, packed_fingerprint)
    call('HSET', once_key, field, kept .. packed)
    call('PEXPIRE', once_key, DAY_MS)
  end

  local kept = call('HGET', once_key, field) or call('HGET', once_key, old_field)
  if not kept or kept_until(kept) <= now then return once end
  local is_same
  if string.sub(kept, 1, 1) == '[' then
    local _, kept_fingerprint, unpacked = unpack(cjson.decode(kept))
    is_same, once.unpacked = kept_fingerprint == fingerprint, unpacked
  else
    local expires, kept_fingerprint, next_byte = struct.unpack('>I6Bc0', kept)
    is_same = kept_fingerprint == packed_fingerprint
    once.packed, once.given_ms = string.sub(kept, next_byte), expires - DAY_MS
  end
  once.status = is_same and REPLAYED or KEY_REUSED
  return once
end
