"""Rooms that several servers share: what is said on one of them is heard on all, in one order.

Without a backplane a server's broadcaster reads from a list: all that happens, in the order in which it
happened. With one, each room is a stream in Redis, which is such a list, for all servers: what a client
says is written at its end, and all, on the same server too, hear it when it is read from there. So Redis
alone decides about the order, and no server need know another.

When Redis is away, talkers are read no further, as with a client that reads too slowly: TCP holds them,
and nothing is lost. A server that is away from Redis for longer than its lease (`Limits.lease`) is given
up by the others: its clients are told as `left (server lost)`, and their nicknames are free. When it is
back it lets its clients go, and begins anew: what the others did meanwhile cannot be undone.

A client that leaves a room that a slow reader holds up need not hear the rest of it: it is let out, or
all in the room that it goes to would wait with it.

A room goes no faster than its slowest server reads. All tell how far they are; talkers wait while one of
them has more than 4 MiB to catch up with, and what all have read is thrown away. So a room takes up
little more than that in Redis, however long clients talk there.

The files, in the order in which they are best read:

 1. scripts.py    what is done in Redis, and what is kept there
 2. store.py      two connections to it, and what can go wrong with them
 3. log.py        a room, as one server sees it
 4. session.py    one life of a server among the others
 5. contact.py    whether Redis can be reached
 6. writer.py     the thread that has things done
 7. reader.py     the thread that lets happen what stands in the streams
 8. backplane.py      Backplane: what the server sees of all this
 9. requests.py   what a client's thread asks of the other servers, and waits for
10. hub.py        RedisHub: what clients do to such rooms

It needs redis-py, and is loaded only by a server that has a backplane.
"""

from labkit.wire.extras import extra

with extra("redis"):
    from labkit.server.backplane.backplane import Backplane
    from labkit.server.backplane.hub import RedisHub
    from labkit.server.backplane.store import NoRedis

__all__ = ["Backplane", "NoRedis", "RedisHub"]
