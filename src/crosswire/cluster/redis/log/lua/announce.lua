-- Note for emitters, which hear no beats of nodes, which namespaces keep history, and which Redis hold the logs.
--
-- KEYS[1] is a hash. A field is a namespace, with its size and time to live; or empty, with the ids of the Redis. In
-- front of the value stands the time by the clock of this Redis, in milliseconds, until which it counts.
--
-- ARGV[1] is the milliseconds for which that is; fields and values follow.
local life = tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

for i = 2, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%d %s', now + life, ARGV[i + 1]))
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^%d+') or 0) < now then redis.call('HDEL', KEYS[1], all[i]) end
end
redis.call('PEXPIRE', KEYS[1], life)
return {}
