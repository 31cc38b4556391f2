-- Read messages of the log of a room. A log that does not exist, or is of another run, begins.
--
-- ARGV, behind the common ones: 1 if `run` was asked for just now, else 0; the direction, + or -; the offset behind
-- which to begin, in this direction; the number of messages at most; the bytes after which to end.
--
-- The result is the epoch, the offset of its last message, the first offset whose position is good, the time, and the
-- messages: the id in the stream, and what was sent, of each. A reader of more than fits in comes again.
local is_fresh, direction, from = ARGV[6] == '1', ARGV[7], tonumber(ARGV[8])
local limit, max_bytes = tonumber(ARGV[9]), tonumber(ARGV[10])
local begin, put_off_end, trim = seldom()

local state = redis.call('HMGET', meta, 'e', 'n', 'r', 'u', 's')
local epoch = state[1]
if epoch and state[3] ~= run then
    if not is_fresh then return ANOTHER_RUN end
    epoch = false
end
if not epoch then
    epoch = begin('', 0, '', state[1], false)
    put_off_end(false)
    redis.call('PUBLISH', channel, struct.pack(HEADER, VERSION, epoch, 0, now) .. string.rep('\0', 16))
    return {epoch, 0, 0, now}
end
put_off_end(false)

local last = tonumber(state[2])
trim(last)
local settled = tonumber(state[5])
if tonumber(state[4]) > 0 then settled = last + 1 end -- it has not settled yet
local found = {epoch, last, settled, now}

local oldest = last - size + 1
local is_forward = direction == '+'
local next_offset = is_forward and math.max(from + 1, oldest) or math.min(from, last + 1) - 1
local taken, bytes, step = 0, 0, 8
while taken < limit and bytes < max_bytes and next_offset >= oldest and next_offset > 0 do
    local asked = math.min(step, limit - taken)
    local entries
    if is_forward then
        entries = redis.call('XRANGE', stream, next_offset, '+', 'COUNT', asked)
    else
        entries = redis.call('XREVRANGE', stream, next_offset, math.max(oldest, 1), 'COUNT', asked)
    end
    for _, entry in ipairs(entries) do
        local sent = entry[2][2]
        taken, bytes = taken + 1, bytes + #sent
        found[#found + 1] = entry[1]
        found[#found + 1] = sent
        next_offset = tonumber(string.match(entry[1], '^%d+')) + (is_forward and 1 or -1)
        if bytes >= max_bytes then break end
    end
    if #entries < asked then break end
    step = step * 2
end
return found
