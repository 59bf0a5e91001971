-- Extends the leases that are still the daemon's, and publishes what its host says of itself.
--
-- KEYS  1  when each host was last heard of: a sorted set of host names, by this server's milliseconds
--       2  what each host said: a hash of snapshots by host name
--       3  what the hosts agree on about a canary: a hash
--       4  then one for each GPU: its lease
-- ARGV  1  instance of the daemon
--       2  time to live of a lease, in milliseconds
--       3  host name
--       4  snapshot of the host, bytes that nothing here looks into
--       5  time to live of a snapshot, in milliseconds
--       6  how long a canary without an end is remembered, in milliseconds
--       7  then one for each GPU: the epoch that the daemon was granted
-- Reply 1  why the snapshot could not be published, '' if it was
--       2  lost: place of the GPU in ARGV from 7, the present holder's lease ('' for nobody), its milliseconds left
--       3  revision of the canary, 0 for none
--       4  while there is one: seconds of processor that this server has used, '' where it may not be asked
--       5  this server's milliseconds
--
-- Leases come first, and nothing about the snapshot can fail them: a server that is out of memory still extends.

local instance, ttl = ARGV[1], ARGV[2]
local host, snapshot, life = ARGV[3], ARGV[4], tonumber(ARGV[5])

local lost = {}
for place = 1, #KEYS - 3 do
  local key = KEYS[place + 3]
  local stored = redis.call('GET', key)
  local lease = stored and cjson.decode(stored) or nil
  if lease and lease.instance == instance and lease.epoch == tonumber(ARGV[place + 6]) then
    redis.call('PEXPIRE', key, ttl)
  else
    table.insert(lost, place)
    table.insert(lost, stored or '')
    table.insert(lost, redis.call('PTTL', key))
  end
end

local trouble = ''
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    trouble = reply.err
    return {}
  end
  return reply
end

-- Hosts that fell silent go first: that needs no memory. So do those heard of in the future, as after a fail-over
-- to a server whose clock is behind.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, range in ipairs({{'-inf', now - life}, {now + life, '+inf'}}) do
  for _, silent in ipairs(try('ZRANGEBYSCORE', KEYS[1], range[1], range[2])) do
    try('HDEL', KEYS[2], silent)
    try('ZREM', KEYS[1], silent)
  end
end

try('HSET', KEYS[2], host, snapshot)
try('PEXPIRE', KEYS[2], life)
try('ZADD', KEYS[1], now, host)
try('PEXPIRE', KEYS[1], life)

local canary = try('HMGET', KEYS[3], 'revision', 'endless')
local revision, used = tonumber(canary[1] or 0), ''
if revision > 0 then
  if canary[2] == '1' then
    try('PEXPIRE', KEYS[3], ARGV[6])
  end
  local figures = redis.pcall('INFO', 'cpu')
  if type(figures) == 'string' then
    local system = string.match(figures, 'used_cpu_sys:([%d%.]+)')
    local user = string.match(figures, 'used_cpu_user:([%d%.]+)')
    used = system and user and tostring(system + user) or ''
  end
end

return {trouble, lost, revision, used, now}
