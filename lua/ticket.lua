--[[
  A ticket for what is about to be asked of Stripe about a user. An answer counts only while no other
  ticket was taken since: then each that counts was asked for after the last one that did, and what
  is known of the user never goes back. Only the customer that is the user's own has a ticket.

  KEYS[1] account  hash  what is known of an identified user
  ARGV[1] customer       Stripe's ID of it
  ARGV[2] pause_ms       0, or how long ago the last ticket with such a pause must have been taken
  Returns {status, ticket}
    OK
    RATE_LIMITED    {status, retry_after_ms}
    UNKNOWN_USER    {status} alone: the user, if there is one, is not this customer
]]
local account_key, customer, pause_ms = KEYS[1], ARGV[1], tonumber(ARGV[2])

if call('HGET', account_key, 'stripeCustomer') ~= customer then return {UNKNOWN_USER} end
local ticket = tonumber(call('HGET', account_key, 'ticket') or 0) + 1
local synced_ms = tonumber(call('HGET', account_key, 'syncedAt') or 0)
if not is_amount(ticket) or not is_amount(synced_ms) then error('the ticket is none') end
local now = now_ms()
if pause_ms > 0 then
  local retry_after_ms = synced_ms + pause_ms - now
  if retry_after_ms > 0 then return {RATE_LIMITED, retry_after_ms} end
  call('HSET', account_key, 'syncedAt', now)
end
call('HSET', account_key, 'ticket', ticket)
return {OK, ticket}
