-- Compare logs: return the epoch and the last offset of each, or false twice if it does not exist or is of another run.
-- The logs that are asked for live on.
--
-- KEYS are the hashes of the logs; ARGV[1] is the run, the others are the milliseconds that each may live unused.
local run, found = ARGV[1], {}
for i = 1, #KEYS do
    local state = redis.call('HMGET', KEYS[i], 'e', 'n', 'r')
    local is_good = state[1] and state[3] == run
    if is_good then redis.call('PEXPIRE', KEYS[i], ARGV[i + 1]) end
    found[2 * i - 1] = is_good and state[1]
    found[2 * i] = is_good and tonumber(state[2])
end
return found
