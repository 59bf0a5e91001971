-- What the hosts have agreed on about a canary.
--
-- KEYS  1  the canary: a hash of revision, change, document, endless
-- Reply 1  revision, document and milliseconds left of what stands, and whether heartbeats renew these; or nothing

local stored = redis.call('HMGET', KEYS[1], 'revision', 'document', 'endless')
if not stored[1] then
  return {}
end
return {tonumber(stored[1]), stored[2], redis.call('PTTL', KEYS[1]), tonumber(stored[3])}
