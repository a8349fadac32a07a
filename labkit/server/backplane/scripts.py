"""What is done in Redis, in Lua: Redis runs one script at a time, and each of them whole.

A server does everything by `TURN`: all that it wants done at this moment, in one script, under a number
that is one higher each time. Redis keeps the number and the answers of each server's last turn. So a
server that never got its answer just asks again, under the same number: if the turn was done, it gets the
kept answers, and nothing is done twice.

What is kept (KEY: what):

    labkit:servers           the servers that take part (a set)
    labkit:lease:S           exists while server S gives signs of life (it expires)
    labkit:turn:S            number and answers of its last turn, and the id of its last letter
    labkit:rooms:S           the rooms that it follows (a set)
    labkit:mail:S            what is for this server alone, and which rooms have news (a stream)
    labkit:names             who has a nickname, and each way it looks: "PERSON NICKNAME"; and `whole`
    labkit:room:R            all that happens in room R, in the order in which it happens (a stream)
    labkit:room:R:who        who is in it: "PLACE NICKNAME", by person
    labkit:room:R:read       how far each server that follows it has read: "BYTES ID"
    labkit:room:R:quiet      the servers that wait to be told of what comes next there (a set)
    labkit:room:R:state      its name as it is shown, its bytes so far, the last entry's id, places given

A person is SERVER.NUMBER, so that whose they are can be told. An entry of a room's stream has the server
that it comes from (`o`) and the number of its turn (`k`), how many bytes of the room were before it (`a`),
the lines as they are to be heard (`t`) and who came or went with them (`m`, JSON; empty: no client). Or it
tells that a server is gone (`x`), and why. A letter has the id of the one before it (`p`).

Another program may delete any of these keys, or set it to another type. Then:

- A server is one that is in `labkit:servers`. What any other has, a nickname or a place in a room, it has
  no more, whatever is written elsewhere.
- A key of a wrong type is deleted where it is met (`call`).
- A server that finds something of its own missing is a server no more, and begins anew. It looks at the
  beat of its lease, room by room (`does.read`, `does.mailed`), and where it reads (reader.py).
- Without `labkit:names` no server can tell who is here: `whole` is always in it, and if that is missing,
  all begin anew. Where there is no server, nothing is kept (`wipe`).

When Redis is full (`maxmemory`), it refuses a script's writes, unless its first one frees something: then
all are done. So `sign` finds out, and has a turn refused that could make Redis fuller. But what a server
has read, and who is lost, it says all the same (`aside`): by that it becomes emptier.

These scripts reach for keys that are not in their list of keys, as a single Redis allows and Redis Cluster
does not.
"""

from __future__ import annotations

from labkit.wire.messages import SERVER_LOST

ENTRY = 64
"""Bytes that an entry counts for beside its text: an empty one takes memory, too."""

_COMMON = """
local function number(n) return string.format('%.0f', n) end

-- As redis.call; but what another program has put there, of another type, is not in the way.
local function call(command, key, ...)
    local answer = redis.pcall(command, key, ...)
    if type(answer) ~= 'table' or not answer.err then return answer end
    if answer.err:find('WRONGTYPE', 1, true) then redis.call('DEL', key) end
    return redis.call(command, key, ...)
end

local why_lost = 'WHY'

local function living(server) return call('SISMEMBER', 'labkit:servers', server) == 1 end

local function server_of(person) return person:match('^[^.]*') end

-- A sign of life. Returns why Redis takes nothing more, if so; but what follows in this script is done.
local function sign(server, lease)
    local key = 'labkit:lease:' .. server
    local answer = redis.pcall('SET', key, 1, 'PX', lease)
    if type(answer) ~= 'table' or not answer.err then return nil end
    local full = answer.err:match('OOM (.*)$')
    if full then redis.call('DEL', key) end  -- once something was freed, a script may write
    redis.call('SET', key, 1, 'PX', lease)
    return full
end

-- How many bytes of a room the slowest of its readers has still to read, and what that one has read last.
local function lag(room, total)
    local slowest, id = total, nil
    for _, position in ipairs(call('HVALS', room .. ':read')) do
        local bytes, at = position:match('^(%d+) (.*)$')
        if id == nil or tonumber(bytes) < slowest then slowest, id = tonumber(bytes), at end
    end
    return total - slowest, id
end

local function post(server, ...)
    if not living(server) then return end
    local kept = 'labkit:turn:' .. server
    local before = call('HGET', kept, 'mail') or '0-0'
    call('HSET', kept, 'mail', call('XADD', 'labkit:mail:' .. server, '*', 'p', before, ...))
end

-- The thread that waits for this server's mail is to look into this room.
local function ring(server, name) post(server, 'n', name) end

local function write(name, size, ...)
    local room = 'labkit:room:' .. name
    local state = room .. ':state'
    local before = tonumber(call('HGET', state, 'total'))
    if not before then error(state .. ' is gone', 0) end
    local id = call('XADD', room, '*', 'a', number(before), ...)
    local total = before + size + ENTRY
    call('HSET', state, 'total', number(total), 'last', id)
    for _, server in ipairs(call('SMEMBERS', room .. ':quiet')) do ring(server, name) end
    redis.call('DEL', room .. ':quiet')
    return (lag(room, total))
end

-- Empty rooms must not pile up. Nor is one kept whose state is gone: all who follow it will notice.
local function dropped(room)
    if call('HLEN', room .. ':read') > 0 and call('HEXISTS', room .. ':state', 'total') == 1 then
        return false
    end
    redis.call('DEL', room, room .. ':read', room .. ':quiet', room .. ':who', room .. ':state')
    return true
end

-- What is left in a room of servers that are none any more: their people leave.
local function clear(name)
    local room = 'labkit:room:' .. name
    local gone = {}
    for _, server in ipairs(call('HKEYS', room .. ':read')) do
        if not living(server) then
            gone[server] = true
            call('HDEL', room .. ':read', server)
        end
    end
    for _, person in ipairs(call('HKEYS', room .. ':who')) do
        local server = server_of(person)
        if gone[server] == nil then gone[server] = not living(server) end
        if gone[server] then call('HDEL', room .. ':who', person) end
    end
    if dropped(room) then return end
    for server, is_gone in pairs(gone) do
        if is_gone then write(name, 0, 'x', server, 'why', why_lost) end
    end
end

-- There is no server. What is found of ours is thrown away; not for long, in a Redis with much that is not
-- ours: what is left there is in no one's way.
local function wipe()
    local cursor, left = '0', 200
    redis.call('DEL', 'labkit:servers', 'labkit:names')
    repeat
        local found = redis.call('SCAN', cursor, 'MATCH', 'labkit:*', 'COUNT', 1000)
        cursor = found[1]
        for _, key in ipairs(found[2]) do redis.call('DEL', key) end
        left = left - 1
    until cursor == '0' or left == 0
end

-- A server is gone: its nicknames are free, its people leave their rooms, and the others are told.
local function lose(server)
    call('SREM', 'labkit:servers', server)
    local names = call('HGETALL', 'labkit:names')
    local lives = {}
    for n = 1, #names, 2 do
        local holder = server_of(names[n + 1])
        if lives[holder] == nil then lives[holder] = names[n] == 'whole' or living(holder) end
        if not lives[holder] then call('HDEL', 'labkit:names', names[n]) end
    end
    for _, name in ipairs(call('SMEMBERS', 'labkit:rooms:' .. server)) do clear(name) end
    for _, kind in ipairs({'rooms', 'mail', 'turn', 'lease'}) do
        redis.call('DEL', 'labkit:' .. kind .. ':' .. server)
    end
    local others = call('SMEMBERS', 'labkit:servers')
    for _, other in ipairs(others) do post(other, 'gone', server) end
    if #others == 0 then wipe() end
    return 1
end
""".replace("ENTRY", str(ENTRY)).replace("WHY", str(SERVER_LOST))

HELLO = (
    _COMMON
    + """
local server, lease, before = ARGV[1], ARGV[2], ARGV[3]
sign(server, lease)
if call('SCARD', 'labkit:servers') == 0 or call('HEXISTS', 'labkit:names', 'whole') == 0 then
    wipe()
    sign(server, lease)
end
call('SADD', 'labkit:servers', server)
call('HSET', 'labkit:names', 'whole', 1)
call('HSETNX', 'labkit:turn:' .. server, 'number', 0)  -- it may come twice, and late
if before ~= '' then lose(before) end
return 1
"""
)
"""A server takes part from now on. ARGV: its id; its lease in ms; which it was before; '': none."""

TURN = (
    _COMMON
    + """
local server, turn, lease, aside = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local kept = 'labkit:turn:' .. server
if call('HEXISTS', 'labkit:names', 'whole') == 0 then redis.call('DEL', 'labkit:servers') end
if not living(server) then return redis.error_reply('GIVENUP the others have given this server up') end
local full = sign(server, lease)
local last = call('HGET', kept, 'number')
if last == turn then return aside and {} or cmsgpack.unpack(call('HGET', kept, 'answers')) end
if tonumber(last) ~= tonumber(turn) - 1 then
    return redis.error_reply('GIVENUP this Redis has forgotten what it knew of this server')
end
if full and turn ~= '1' and not aside then return redis.error_reply('FULL ' .. full) end

local does = {}

-- PERSON NICKNAME, and the fields of labkit:names that this takes; the first is the name itself.
function does.claim(person, nickname, ...)
    for n, field in ipairs({...}) do
        local who, called = (call('HGET', 'labkit:names', field) or ''):match('^(%S+) (.*)$')
        if who and who ~= person and living(server_of(who)) then
            return {n == 1 and 'taken' or 'alike', called}
        end
    end
    for _, field in ipairs({...}) do call('HSET', 'labkit:names', field, person .. ' ' .. nickname) end
    return {'yours', nickname}
end

function does.release(person, ...)
    for _, field in ipairs({...}) do
        local holder = call('HGET', 'labkit:names', field)
        if holder and holder:match('^%S+') == person then call('HDEL', 'labkit:names', field) end
    end
    return 1
end

-- ROOM, and its NAME if it is new. Answers with its name, where it stands, and who is there.
function does.follow(name, shown)
    local room = 'labkit:room:' .. name
    local state = room .. ':state'
    clear(name)
    if call('HEXISTS', state, 'total') == 0 then
        call('HSET', state, 'name', shown, 'total', 0, 'last', '0-0', 'places', 0)
    end
    local newest = call('XREVRANGE', room, '+', '-', 'COUNT', 1)[1]
    if newest then call('HSET', state, 'last', newest[1]) end
    call('SADD', 'labkit:rooms:' .. server, name)
    local now = call('HMGET', state, 'name', 'total', 'last')
    call('HSET', room .. ':read', server, now[2] .. ' ' .. now[3])
    return {now[1], now[2], now[3], call('HGETALL', room .. ':who')}
end

-- The thread that waits for this server's streams shall look around.
function does.ring()
    ring(server, '')
    return 1
end

-- ROOM ID: this server reads it no more until it is rung. Not (0) if there is something after that entry.
function does.hush(name, id)
    local room = 'labkit:room:' .. name
    if call('HGET', room .. ':state', 'last') ~= id then return 0 end
    call('SADD', room .. ':quiet', server)
    return 1
end

function does.unfollow(name)
    local room = 'labkit:room:' .. name
    call('SREM', 'labkit:rooms:' .. server, name)
    call('HDEL', room .. ':read', server)
    call('SREM', room .. ':quiet', server)
    dropped(room)
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
                local place = call('HINCRBY', room .. ':state', 'places', 1)
                call('HSET', who, person, place .. ' ' .. nickname)
            elseif what == '-' then
                call('HDEL', who, person)
            else
                local place = call('HGET', who, person):match('^%d+')
                call('HSET', who, person, place .. ' ' .. nickname)
            end
        end
    end
    return write(name, #text, 'o', server, 'k', turn, 't', text, 'm', changes)
end

-- Is all there of a room that this server should find? It has read so far (BYTES, and the last entry's ID);
-- so many PEOPLE are there, by what it read; -1: it cannot tell yet.
local function look_into(name, bytes, id, quiet, people)
    local room = 'labkit:room:' .. name
    local state = call('HMGET', room .. ':state', 'total', 'last')
    local well = true
    call('SADD', 'labkit:rooms:' .. server, name)
    if state[1] == bytes then
        local here = call('HLEN', room .. ':who')
        well = state[2] == id and (people == '-1' or here == tonumber(people))
        if quiet == '1' then call('SADD', room .. ':quiet', server) end
    else
        local new = call('XRANGE', room, '(' .. id, '+', 'COUNT', 1)[1]
        well = new and new[2][2] == bytes
        if quiet == '1' then ring(server, name) end
    end
    if not well then error('something is missing in ' .. name, 0) end
    for _, reader in ipairs(call('HKEYS', room .. ':read')) do
        if not living(reader) then return clear(name) end
    end
end

-- ROOM BYTES ID, and what `look_into` needs: so far all has happened here. What has happened at all servers
-- is thrown away. Answers with the slowest reader's lag.
function does.read(name, bytes, id, ...)
    local room = 'labkit:room:' .. name
    local before = call('HGET', room .. ':read', server):match('^%d+')
    if tonumber(before) <= tonumber(bytes) then  -- or it waited while Redis was full
        look_into(name, ...)
        call('HSET', room .. ':read', server, bytes .. ' ' .. id)
    end
    local behind, read = lag(room, tonumber(call('HGET', room .. ':state', 'total')))
    if behind == 0 then
        call('XTRIM', room, 'MAXLEN', 0)
    else
        call('XTRIM', room, 'MINID', '~', read)
    end
    return behind
end

-- FIELD of the name, NUMBER of the whisper, LINE: to the server that has the name's client. Answers which.
function does.whisper(field, number, line)
    local holder = call('HGET', 'labkit:names', field)
    if not holder then return '' end
    local other = server_of(holder)
    if not living(other) then return '' end
    post(other, 'w', number, 's', server, 'f', field, 't', line)
    return other
end

-- SERVER NUMBER HEARD: what has become of its whisper.
function does.answer(other, number, heard)
    post(other, 'r', number, 'heard', heard)
    return 1
end

-- ID: the mail before it was read.
function does.mailed(id)
    local mail = 'labkit:mail:' .. server
    local newest = call('XREVRANGE', mail, '+', '-', 'COUNT', 1)[1]
    if (newest and newest[1] or '0-0') ~= (call('HGET', kept, 'mail') or '0-0') then
        error(mail .. ' is gone', 0)
    end
    return call('XTRIM', mail, 'MINID', '~', id)
end

local function silent(other) return redis.call('PTTL', 'labkit:lease:' .. other) < 0 end

-- Which servers gave no sign of life within their lease?
function does.look()
    local found = {}
    for _, other in ipairs(call('SMEMBERS', 'labkit:servers')) do
        if silent(other) then found[#found + 1] = other end
    end
    return found
end

-- SERVER: it is gone, unless it has just given a sign of life.
function does.lose(other)
    return silent(other) and living(other) and lose(other) or 0
end

-- This server itself goes: WHY.
function does.goodbye(why)
    why_lost = why
    return lose(server)
end

local answers, at = {}, 5
while at <= #ARGV do
    local name, count = ARGV[at], tonumber(ARGV[at + 1])
    local fine, answer = pcall(does[name], unpack(ARGV, at + 2, at + 1 + count))
    if not fine then
        -- Some of the turn is done, and must not be done again: this is a server no more.
        pcall(lose, server)
        answer = type(answer) == 'table' and answer.err or tostring(answer)
        return redis.error_reply('GIVENUP ' .. name .. ': ' .. answer)
    end
    answers[#answers + 1] = answer
    at = at + 2 + count
end
if living(server) and not aside then
    call('HSET', kept, 'number', turn, 'answers', cmsgpack.pack(answers))
end
return answers
"""
)
"""One turn of a server. ARGV: its id; the turn's number; its lease in ms; 1 if it is done aside, and does
not count; and for each thing to be done its name, the number of its arguments, and these."""
