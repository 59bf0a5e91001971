-- Lists the hosts that were heard of lately, and what they said of themselves.
--
-- KEYS  1  when each host was last heard of: a sorted set of host names, by this server's milliseconds
--       2  what each host said: a hash of snapshots by host name
-- ARGV  1  time to live of a snapshot, in milliseconds
-- Reply host name, milliseconds since it was heard of, snapshot, and so on

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local heard = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now - tonumber(ARGV[1]), '+inf', 'WITHSCORES')
local fleet = {}
for i = 1, #heard, 2 do
  local host, at = heard[i], tonumber(heard[i + 1])
  local snapshot = redis.call('HGET', KEYS[2], host)
  if snapshot then
    table.insert(fleet, host)
    table.insert(fleet, math.max(0, now - at))
    table.insert(fleet, snapshot)
  end
end
return fleet
