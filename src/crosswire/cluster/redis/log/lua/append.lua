-- Append messages of one sender to the log of a room, and publish them.
--
-- ARGV, behind the common ones: the sender's origin; the number of its message before these, if that may not be kept;
-- milliseconds that an epoch settles, if one begins; flags (1: `run` was asked for just now; 2: a new epoch is wanted;
-- 4: ids follow); the messages, each with the sender's part in front; as many ids, empty for none.
--
-- The result is the position of the first message; the others follow it. If some were not new, it is a list of the
-- epoch, and for each message its offset or its whole position.
local FIRST = 10
local origin, flags, count = ARGV[6], ARGV[9], #ARGV - FIRST + 1
local is_fresh, wants_epoch, has_ids = false, false, false
if flags ~= '0' then
    flags = tonumber(flags)
    is_fresh, wants_epoch, has_ids = flags % 2 == 1, flags % 4 >= 2, flags >= 4
    if has_ids then count = count / 2 end
end

-- What is there?
local sender = 'o' .. origin
local state = redis.call('HMGET', meta, 'e', 'n', 'r', 'k', 'u', sender)
local epoch, last, upkeep, settles, stored = state[1], 0, 0, 0, 0
if epoch and state[3] ~= run then
    if not is_fresh then return ANOTHER_RUN end
    epoch = false
end
if epoch then
    last, upkeep, settles, stored = tonumber(state[2]), tonumber(state[4]), tonumber(state[5]), tonumber(state[6] or 0)
end
if ARGV[7] ~= '0' and tonumber(ARGV[7]) > stored then return NOT_BEHIND end

-- Begin an epoch, if there is none or one is wanted.
local begun
local begun_by = ''
if wants_epoch and count > 0 then -- the same messages, sent again, begin no second epoch
    begun_by = string.sub(ARGV[FIRST], 1, 16) .. string.sub(ARGV[FIRST + count - 1], 9, 16)
end
if not epoch or (wants_epoch and (begun_by == '' or redis.call('HGET', meta, 'g') ~= begun_by)) then
    local begin = seldom()
    epoch, settles = begin(origin, tonumber(ARGV[8]), begun_by, state[1], epoch)
    last, upkeep = 0, 0
    begun = struct.pack(HEADER, VERSION, epoch, 0, now) .. origin .. string.rep('\0', 8)
end

-- Keep what is new.
local first, number, records = last + 1, stored, {}
local places -- of the messages, once there is one that is not new
local ids -- position of each message with an id
for i = 1, count do
    local sent = ARGV[FIRST + i - 1]
    local its_number = struct.unpack('<I8', sent, 9)
    local id = has_ids and ARGV[FIRST + count + i - 1]
    if id == '' then id = false end
    local place = id and (ids and ids[id] or redis.call('GET', KEYS[3] .. id))
    if its_number > number then number = its_number elseif not place then place = last end
    if place then
        if not places then
            places = {}
            for before = 1, i - 1 do places[before] = first + before - 1 end
        end
        places[i] = place
    else
        last = last + 1
        redis.call('XADD', stream, 'MAXLEN', size, string.format('%d-%d', last, now), '', sent)
        records[#records + 1] = struct.pack(HEADER, VERSION, epoch, last, now) .. sent
        if places then places[i] = last end
        if id then
            ids = ids or {}
            ids[id] = epoch .. '.' .. last
        end
    end
end

-- Remember it, and publish it.
if settles > 0 and now >= settles and last >= first then
    redis.call('HSET', meta, 'n', last, sender, number, 'u', 0, 's', first)
elseif number > stored then
    redis.call('HSET', meta, 'n', last, sender, number)
end
if ids then
    for id, position in pairs(ids) do redis.call('SET', KEYS[3] .. id, position, 'PX', 120000) end
end
if last >= first then
    if now - upkeep >= ttl / 8 then
        local _, put_off_end, trim, forget_senders = seldom()
        redis.call('HSET', meta, 'k', now)
        put_off_end(true)
        trim(last)
        forget_senders(sender)
    end
elseif begun then -- an epoch without a message
    local _, put_off_end = seldom()
    put_off_end(false)
end
if begun then redis.call('PUBLISH', channel, begun) end
for i = 1, #records do redis.call('PUBLISH', channel, records[i]) end

if not places then return epoch .. '.' .. first end
table.insert(places, 1, epoch)
return places
