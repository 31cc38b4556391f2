-- The log of one room, and what both scripts below need. The script that follows is put behind these lines.
--
-- KEYS[1], a hash: the state of the log.
--   e  epoch, 8 characters          n  offset of the last message
--   r  the run of the Redis (the name of one life of its data) in which the epoch began
--   b  time of the epoch's birth    k  time of the last upkeep, 0 if there was none
--   g  the messages with which somebody asked for this epoch
--   u  time until which the epoch settles, 0 if it does not     s  the first offset whose position is good
--   o<origin>  number of the sender's last message
--   p<origin>  the same when senders were looked through last, q the time of that
-- KEYS[2], a stream: the messages; the id of each is <offset>-<time>, its only field the sender's part and the body.
-- KEYS[3] and the id of a message: the position of the first message with that id.
--
-- Times are milliseconds by the clock of this Redis. ARGV begins alike for both scripts:
local meta, stream = KEYS[1], KEYS[2]
local channel, size, ttl, run, seed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]

-- Replies instead of a result; nothing was changed.
local NOT_BEHIND = 0 -- the message before these is not kept
local ANOTHER_RUN = 1 -- the epoch is of another run; the caller makes sure that it knows the present one, and says so

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The header of a record: see crosswire/core/log_records.py. Offset and time follow the epoch.
local HEADER = '<Bc8I8I8'
local VERSION = 3

-- What is seldom needed is made by a function, as making functions takes time at each call of a script.
local function seldom()
    -- Begin an epoch. The numbers of senders are kept, so that what this run has kept is not kept again; those of
    -- another run may be older than what that run had kept.
    local function begin(sender, settling, begun_by, old_epoch, of_this_run)
        local letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
        local random = redis.sha1hex(table.concat({seed, clock[1], clock[2], meta, sender, old_epoch or ''}, ' '))
        local epoch = {}
        for i = 1, 8 do
            local letter = tonumber(string.sub(random, i * 5 - 4, i * 5), 16) % 62 + 1
            epoch[i] = string.sub(letters, letter, letter)
        end
        epoch = table.concat(epoch)
        redis.call('HSET', meta, 'r', '') -- this one is refused if the memory is full; then nothing was changed
        if not of_this_run then redis.call('DEL', meta) end
        redis.call('DEL', stream)
        local settles = settling > 0 and now + settling or 0
        redis.call('HSET', meta, 'e', epoch, 'n', 0, 'r', run, 'b', now, 'k', 0, 'g', begun_by, 'u', settles, 's', 0)
        return epoch, settles
    end

    -- Have the hash outlive the messages, and have both end when nobody uses them. The longest time between two upkeeps
    -- is added, so that no message ends too early.
    local function put_off_end(with_messages)
        local life = ttl + math.floor(ttl / 8) + 1
        redis.call('PEXPIRE', meta, life + 120000)
        if with_messages then redis.call('PEXPIRE', stream, life) end
    end

    -- Remove messages that are older than the time to live. Their offsets have no holes: so the first that is young
    -- enough is found by halves, and few messages are looked at.
    local function trim(last)
        local function old_offset(from)
            local entry = redis.call('XRANGE', stream, from, '+', 'COUNT', 1)[1]
            if entry then
                local offset, time = string.match(entry[1], '^(%d+)%-(%d+)$')
                return tonumber(time) <= now - ttl and tonumber(offset)
            end
        end
        local old, young = old_offset('-'), last + 1
        if old then
            while young - old > 1 do
                local middle = math.floor((old + young) / 2)
                if old_offset(middle) then old = middle else young = middle end
            end
            redis.call('XTRIM', stream, 'MINID', young)
        end
    end

    -- Forget senders that have sent nothing for two minutes, when there are many: numbers of nodes that are gone.
    local function forget_senders(present)
        if redis.call('HLEN', meta) <= 64 then return end
        if now - tonumber(redis.call('HGET', meta, 'q') or 0) < 120000 then return end
        redis.call('HSET', meta, 'q', now)
        local all, numbers = redis.call('HGETALL', meta), {}
        for i = 1, #all, 2 do numbers[all[i]] = all[i + 1] end
        for field, number in pairs(numbers) do
            if #field > 1 and string.sub(field, 1, 1) == 'o' then
                local looked_through = 'p' .. string.sub(field, 2)
                if numbers[looked_through] == number and field ~= present then
                    redis.call('HDEL', meta, field, looked_through)
                else
                    redis.call('HSET', meta, looked_through, number)
                end
            end
        end
    end

    return begin, put_off_end, trim, forget_senders
end
