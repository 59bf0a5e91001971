-- Ends the leases that are still the daemon's, and tells the daemons that wait for them.
--
-- KEYS  two for each GPU: its lease, its epoch counter
-- ARGV  1  instance of the daemon
--       2  channel on which to tell it: a JSON object {instance, gpus}
--       3  then two for each GPU: the epoch that the daemon was granted, the GPU's UUID
-- Reply why it could not be told, '' if it was or nothing was released

local instance, channel = ARGV[1], ARGV[2]

local released = {}
for place = 1, #KEYS / 2 do
  local lease_key, counter_key = KEYS[2 * place - 1], KEYS[2 * place]
  local stored = redis.call('GET', lease_key)
  local lease = stored and cjson.decode(stored) or nil
  if lease and lease.instance == instance and lease.epoch == tonumber(ARGV[2 * place + 1]) then
    -- The claim that this undoes may have a copy on the way: it must not come to life again. Neither command is
    -- refused by a server that is out of memory.
    redis.call('HDEL', counter_key, 'unreleased')
    redis.call('DEL', lease_key)
    table.insert(released, ARGV[2 * place + 2])
  end
end

if #released == 0 then
  return ''
end
local told = redis.pcall('PUBLISH', channel, cjson.encode({instance = instance, gpus = released}))
return type(told) == 'table' and told.err or ''
