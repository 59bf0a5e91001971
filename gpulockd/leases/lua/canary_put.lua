-- Puts what the hosts agree on about a canary in the place of an earlier revision of it.
--
-- KEYS  1  the canary: a hash of revision, change, document, endless
-- ARGV  1  change: what is changed, in words; the same change, put again, is one
--       2  the revision that it is based on: a later one is not overwritten
--       3  document, bytes that nothing here looks into
--       4  how long it is remembered, in milliseconds
--       5  1 if every heartbeat renews that
--       6  channel on which the other daemons hear of it
--       7  instance of the daemon
-- Reply 1  1 if this change stands, 0 if there is a later one
--       2  revision, document and milliseconds left of what stands, and whether heartbeats renew these
--
-- A revision is this server's time in milliseconds, or more: it grows though the key has expired in between.

local change, based_on = ARGV[1], tonumber(ARGV[2])
local stored = redis.call('HMGET', KEYS[1], 'revision', 'change', 'document', 'endless')
local revision = tonumber(stored[1] or 0)

if stored[2] == change or revision > based_on then
  local ours = stored[2] == change and 1 or 0
  return {ours, {revision, stored[3], redis.call('PTTL', KEYS[1]), tonumber(stored[4])}}
end

local time = redis.call('TIME')
revision = math.max(revision, based_on, time[1] * 1000 + math.floor(time[2] / 1000)) + 1
redis.call('HSET', KEYS[1],
  'revision', string.format('%.0f', revision), 'change', change, 'document', ARGV[3], 'endless', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.pcall('PUBLISH', ARGV[6], cjson.encode({instance = ARGV[7], canary = string.format('%.0f', revision)}))

return {1, {revision, ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])}}
