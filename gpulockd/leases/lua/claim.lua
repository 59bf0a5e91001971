-- Claims the leases of several GPUs for one daemon: all that are to be had, each with a larger epoch than ever before.
--
-- KEYS  two for each GPU: its lease, its epoch counter
--       then one for each GPU whose lease the daemon has already: its epoch counter
-- ARGV  1  the daemon: a JSON object with at least `instance`, which is unique for each run of a daemon
--       2  attempt: the number of its request; a later request has a larger one
--       3  floor: the highest epoch the daemon knows of
--       4  time to live of a lease, in milliseconds
--       5  then two for each GPU: instance and epoch of a dead holder that may be replaced ('' and 0: nobody)
-- Reply 1  the server's maxmemory-policy, '' where it may not be asked; if it evicts, nothing was done
--       2  granted: place of the GPU in KEYS, epoch, and so on
--       3  refused: place of the GPU, the holder's lease, its milliseconds left, and so on
--       A GPU in neither list: this request was overtaken by a later request or a release of the same daemon.
--
-- A lease is one string, so that its value and its end are set by one command. The counter never ends, and keeps
-- to whom its epoch was given: the same request, repeated after a lost answer, finds what it was given, even when
-- the lease has ended since; and a request that was stuck on the way changes nothing that came after it.
--
-- A daemon makes the tokens of all its GPUs from its highest epoch. So the counters of what it has are raised to that
-- one, too: whoever has such a GPU next begins above every token that was given out for it.

local daemon = cjson.decode(ARGV[1])
local attempt = tonumber(ARGV[2])
local floor = tonumber(ARGV[3])
local ttl = ARGV[4]
local gpus = (#ARGV - 4) / 2

-- A server that evicts could drop a lease while it is held.
local memory = redis.pcall('INFO', 'memory')
local policy = type(memory) == 'string' and string.match(memory, 'maxmemory_policy:([%w%-]+)') or ''
if policy ~= '' and policy ~= 'noeviction' then
  return {policy, {}, {}}
end

-- Everything is read before anything is written: an error on the way leaves no half of a claim behind.
local epoch = floor + 1
local wanted, repeated, refused, reached = {}, {}, {}, {}

for place = 1, gpus do
  local lease_key, counter_key = KEYS[2 * place - 1], KEYS[2 * place]
  local replaced, replaced_epoch = ARGV[2 * place + 3], tonumber(ARGV[2 * place + 4])

  local stored = redis.call('GET', lease_key)
  local lease = stored and cjson.decode(stored) or nil
  local elsewhere = lease and lease.instance ~= daemon.instance
    and not (lease.instance == replaced and lease.epoch == replaced_epoch)

  local counter = redis.call('HMGET', counter_key, 'epoch', 'instance', 'attempt', 'unreleased', 'granted')
  local last_epoch = math.max(tonumber(counter[1] or 0), lease and lease.epoch or 0)
  local last_attempt = counter[2] == daemon.instance and tonumber(counter[3]) or -1
  local unreleased, last_granted = counter[4], tonumber(counter[5] or 0)
  reached[place] = last_epoch

  if elsewhere then
    table.insert(refused, place)
    table.insert(refused, stored)
    table.insert(refused, redis.call('PTTL', lease_key))
  elseif attempt < last_attempt or (attempt == last_attempt and not unreleased) then
    -- Overtaken.
  elseif attempt == last_attempt and last_granted > floor then
    repeated[place] = last_granted
    epoch = math.max(epoch, last_granted)
  else
    table.insert(wanted, place)
    epoch = math.max(epoch, last_epoch + 1)
  end
end

for place = 2 * gpus + 1, #KEYS do
  reached[place] = tonumber(redis.call('HGET', KEYS[place], 'epoch') or 0)
end

local granted = {}

local function grant(place, with)
  daemon.epoch = with
  redis.call('HSET', KEYS[2 * place],
    'epoch', math.max(epoch, reached[place]), 'granted', with,
    'instance', daemon.instance, 'attempt', attempt, 'unreleased', 1)
  redis.call('SET', KEYS[2 * place - 1], cjson.encode(daemon), 'PX', ttl)
  table.insert(granted, place)
  table.insert(granted, with)
end

for place, with in pairs(repeated) do
  grant(place, with)
end
for _, place in ipairs(wanted) do
  grant(place, epoch)
end
if #granted > 0 then
  for place = 2 * gpus + 1, #KEYS do
    redis.call('HSET', KEYS[place], 'epoch', math.max(epoch, reached[place]))
  end
end

return {policy, granted, refused}
