"""What is done in Redis, in Lua: Redis runs one script at a time, and each of them whole.

A server does everything by `TURN`: all that it wants done at this moment, in one script, under a number
that is one higher each time. Redis keeps the number and the answers of each server's last turn. So a
server that never got its answer just asks again, under the same number: if the turn was done, it gets the
kept answers, and nothing is done twice.

What is kept (KEY: what):

    labkit:servers           the servers that take part (a set)
    labkit:lease:S           exists while server S gives signs of life (it expires)
    labkit:turn:S            number and answers of its last turn
    labkit:rooms:S           the rooms that it follows (a set)
    labkit:claims:S          the fields of labkit:names that its people have (a set)
    labkit:mail:S            what is for this server alone, and which rooms have news (a stream)
    labkit:names             who has a nickname, and each way it looks: "PERSON NICKNAME"
    labkit:room:R            all that happens in room R, in the order in which it happens (a stream)
    labkit:room:R:who        who is in it: "PLACE NICKNAME", by person
    labkit:room:R:read       how far each server that follows it has read: "BYTES ID"
    labkit:room:R:quiet      the servers that wait to be told of what comes next there (a set)
    labkit:room:R:state      its name as it is shown, its bytes so far, the last entry's id, places given

A person is SERVER.NUMBER, so that whose they are can be told. An entry of a room's stream has the server
that it comes from (`o`) and the number of its turn (`k`), how many bytes of the room were before it (`a`),
the lines as they are to be heard (`t`) and who came or went with them (`m`, JSON; empty: no client). Or it
tells that a server is gone (`x`), and why.

These scripts reach for keys that are not in their list of keys, as a single Redis allows and Redis Cluster
does not.
"""

from __future__ import annotations

ENTRY = 64
"""Bytes that an entry counts for beside its text: an empty one takes memory, too."""

_COMMON = """
local function number(n) return string.format('%.0f', n) end

-- How many bytes of a room the slowest of its readers has still to read, and what that one has read last.
local function lag(room, total)
    local slowest, id = total, nil
    for _, position in ipairs(redis.call('HVALS', room .. ':read')) do
        local bytes, at = position:match('^(%d+) (.*)$')
        if id == nil or tonumber(bytes) < slowest then slowest, id = tonumber(bytes), at end
    end
    return total - slowest, id
end

-- The thread that waits for this server's mail is to look into this room.
local function ring(server, name)
    redis.call('XADD', 'labkit:mail:' .. server, '*', 'n', name)
end

local function write(name, size, ...)
    local room = 'labkit:room:' .. name
    local state = room .. ':state'
    local before = tonumber(redis.call('HGET', state, 'total'))
    local id = redis.call('XADD', room, '*', 'a', number(before), ...)
    local total = before + size + ENTRY
    redis.call('HSET', state, 'total', number(total), 'last', id)
    for _, server in ipairs(redis.call('SMEMBERS', room .. ':quiet')) do ring(server, name) end
    redis.call('DEL', room .. ':quiet')
    return (lag(room, total))
end

local function forget(room, server)
    redis.call('HDEL', room .. ':read', server)
    redis.call('SREM', room .. ':quiet', server)
    if redis.call('HLEN', room .. ':read') == 0 then  -- empty rooms must not pile up
        redis.call('DEL', room, room .. ':read', room .. ':quiet', room .. ':who', room .. ':state')
    end
end

-- A server is gone: its people leave their rooms, their nicknames are free, and the others are told.
local function lose(server, why)
    if redis.call('SREM', 'labkit:servers', server) == 0 then return 0 end
    for _, name in ipairs(redis.call('SMEMBERS', 'labkit:rooms:' .. server)) do
        local room = 'labkit:room:' .. name
        local who = redis.call('HKEYS', room .. ':who')
        for _, person in ipairs(who) do
            if person:match('^[^.]+') == server then redis.call('HDEL', room .. ':who', person) end
        end
        redis.call('HDEL', room .. ':read', server)
        write(name, 0, 'x', server, 'why', why)
        forget(room, server)
    end
    for _, field in ipairs(redis.call('SMEMBERS', 'labkit:claims:' .. server)) do
        redis.call('HDEL', 'labkit:names', field)
    end
    for _, kind in ipairs({'rooms', 'claims', 'mail', 'turn', 'lease'}) do
        redis.call('DEL', 'labkit:' .. kind .. ':' .. server)
    end
    for _, other in ipairs(redis.call('SMEMBERS', 'labkit:servers')) do
        redis.call('XADD', 'labkit:mail:' .. other, '*', 'gone', server)
    end
    return 1
end
""".replace("ENTRY", str(ENTRY))

HELLO = """
local server, lease = ARGV[1], ARGV[2]
redis.call('SADD', 'labkit:servers', server)
redis.call('SET', 'labkit:lease:' .. server, 1, 'PX', lease)
redis.call('HSETNX', 'labkit:turn:' .. server, 'number', 0)  -- it may come twice, and late
return 1
"""
"""A server takes part from now on. ARGV: its id; its lease in ms."""

TURN = (
    _COMMON
    + """
local server, turn, lease = ARGV[1], ARGV[2], ARGV[3]
local kept = 'labkit:turn:' .. server
if redis.call('SISMEMBER', 'labkit:servers', server) == 0 then
    return redis.error_reply('GIVENUP the others have given this server up')
end
redis.call('SET', 'labkit:lease:' .. server, 1, 'PX', lease)
local last = redis.call('HGET', kept, 'number')
if last == turn then return cmsgpack.unpack(redis.call('HGET', kept, 'answers')) end
if tonumber(last) ~= tonumber(turn) - 1 then
    return redis.error_reply('GIVENUP this Redis has forgotten what it knew of this server')
end

local does = {}

-- PERSON NICKNAME, and the fields of labkit:names that this takes; the first is the name itself.
function does.claim(person, nickname, ...)
    for n, field in ipairs({...}) do
        local holder = redis.call('HGET', 'labkit:names', field)
        if holder then
            local who, called = holder:match('^(%S+) (.*)$')
            if who ~= person then return {n == 1 and 'taken' or 'alike', called} end
        end
    end
    for _, field in ipairs({...}) do
        redis.call('HSET', 'labkit:names', field, person .. ' ' .. nickname)
        redis.call('SADD', 'labkit:claims:' .. server, field)
    end
    return {'yours', nickname}
end

function does.release(person, ...)
    for _, field in ipairs({...}) do
        local holder = redis.call('HGET', 'labkit:names', field)
        if holder and holder:match('^%S+') == person then
            redis.call('HDEL', 'labkit:names', field)
            redis.call('SREM', 'labkit:claims:' .. server, field)
        end
    end
    return 1
end

-- ROOM, and its NAME if it is new. Answers with its name, where it stands, and who is there.
function does.follow(name, shown)
    local room = 'labkit:room:' .. name
    local state = room .. ':state'
    if redis.call('EXISTS', state) == 0 then  -- nor is there anything else, unless another program meddled
        redis.call('DEL', room, room .. ':read', room .. ':quiet', room .. ':who')
        redis.call('HSET', state, 'name', shown, 'total', 0, 'last', '0-0', 'places', 0)
    end
    redis.call('SADD', 'labkit:rooms:' .. server, name)
    local now = redis.call('HMGET', state, 'name', 'total', 'last')
    local newest = redis.call('XREVRANGE', room, '+', '-', 'COUNT', 1)[1]
    if newest then now[3] = newest[1] end
    redis.call('HSET', room .. ':read', server, now[2] .. ' ' .. now[3])
    return {now[1], now[2], now[3], redis.call('HGETALL', room .. ':who')}
end

-- The thread that waits for this server's streams shall look around.
function does.ring()
    ring(server, '')
    return 1
end

-- ROOM ID: this server reads it no more until it is rung. Not (0) if there is something after that entry.
function does.hush(name, id)
    local room = 'labkit:room:' .. name
    if redis.call('HGET', room .. ':state', 'last') ~= id then return 0 end
    redis.call('SADD', room .. ':quiet', server)
    return 1
end

function does.unfollow(name)
    redis.call('SREM', 'labkit:rooms:' .. server, name)
    forget('labkit:room:' .. name, server)
    return 1
end

-- ROOM TEXT CHANGES: what this server's people said and did there. Answers with the slowest reader's lag.
function does.append(name, text, changes)
    local room = 'labkit:room:' .. name
    if changes ~= '' then
        local who = room .. ':who'
        for _, change in ipairs(cjson.decode(changes)) do
            local what, person, nickname = change[1], change[2], change[3]
            if what == '+' then
                local place = redis.call('HINCRBY', room .. ':state', 'places', 1)
                redis.call('HSET', who, person, place .. ' ' .. nickname)
            elseif what == '-' then
                redis.call('HDEL', who, person)
            else
                local place = redis.call('HGET', who, person):match('^%d+')
                redis.call('HSET', who, person, place .. ' ' .. nickname)
            end
        end
    end
    return write(name, #text, 'o', server, 'k', turn, 't', text, 'm', changes)
end

-- ROOM BYTES ID: this server has read so far. What all have read is thrown away. Answers with the slowest
-- reader's lag.
function does.read(name, bytes, id)
    local room = 'labkit:room:' .. name
    redis.call('HSET', room .. ':read', server, bytes .. ' ' .. id)
    local total = tonumber(redis.call('HGET', room .. ':state', 'total'))
    local behind, read = lag(room, total)
    if behind == 0 then
        redis.call('XTRIM', room, 'MAXLEN', 0)
    else
        redis.call('XTRIM', room, 'MINID', '~', read)
    end
    return behind
end

-- FIELD of the name, NUMBER of the whisper, LINE: to the server that has the name's client. Answers which.
function does.whisper(field, number, line)
    local holder = redis.call('HGET', 'labkit:names', field)
    if not holder then return '' end
    local other = holder:match('^[^.]+')
    if redis.call('SISMEMBER', 'labkit:servers', other) == 0 then return '' end
    redis.call('XADD', 'labkit:mail:' .. other, '*', 'w', number, 's', server, 'f', field, 't', line)
    return other
end

-- SERVER NUMBER HEARD: what has become of its whisper.
function does.answer(other, number, heard)
    if redis.call('SISMEMBER', 'labkit:servers', other) == 1 then
        redis.call('XADD', 'labkit:mail:' .. other, '*', 'r', number, 'heard', heard)
    end
    return 1
end

-- ID: the mail before it was read.
function does.mailed(id)
    return redis.call('XTRIM', 'labkit:mail:' .. server, 'MINID', '~', id)
end

-- Which servers gave no sign of life within their lease?
function does.look()
    local silent = {}
    for _, other in ipairs(redis.call('SMEMBERS', 'labkit:servers')) do
        if redis.call('EXISTS', 'labkit:lease:' .. other) == 0 then silent[#silent + 1] = other end
    end
    return silent
end

-- SERVER WHY: it is gone, unless it has just given a sign of life.
function does.lose(other, why)
    if redis.call('EXISTS', 'labkit:lease:' .. other) == 1 then return 0 end
    return lose(other, why)
end

-- SERVER WHY: this one was that server before, and has begun anew.
function does.bury(other, why) return lose(other, why) end

-- WHY: this server itself goes.
function does.goodbye(why)
    return lose(server, why)
end

local answers, at = {}, 4
while at <= #ARGV do
    local name, count = ARGV[at], tonumber(ARGV[at + 1])
    -- An error here must not end the turn: what is done stays done, and would be done again.
    local fine, answer = pcall(does[name], unpack(ARGV, at + 2, at + 1 + count))
    if not fine then
        answer = {'TROUBLE', name .. ': ' .. (type(answer) == 'table' and answer.err or tostring(answer))}
    end
    answers[#answers + 1] = answer
    at = at + 2 + count
end
if redis.call('EXISTS', kept) == 1 then
    redis.call('HSET', kept, 'number', turn, 'answers', cmsgpack.pack(answers))
end
return answers
"""
)
"""One turn of a server. ARGV: its id; the turn's number; its lease in ms; and for each thing to be done its
name, the number of its arguments, and these."""
