"""Chaos: many clients do their worst to a server, or to several that share their rooms, and a checker
proves from what each heard that no other noticed.

- history.py: what one client sent and heard, from its nickname to its end
- verdict.py: what a checker finds wrong
- order.py: what happened in one room, in the order that its witness heard
- checker.py: holds what each client heard against it. Pure, like the three before it
- client.py: one connection, and all that can be done to it
- person.py: what a person does next, by dice
- guests.py: others, each with manners that try one promise: pipeliners, sippers, hoarders
- strangers.py: those who have much to say, and no nickname
- people.py: all of them, on one selector
- hosts.py: a server to be tried, in this process or in one of its own (serve.py)
- fleet.py: several servers on one Redis
- storm.py: what befalls them: killed, cut off, Redis restarted
- arena.py: a server, links with faults before it, many clients; then the checker. One run; also on a fleet
- stops.py: the same, but the server is stopped in the middle, in one way or another
- memory.py: many who read slowly, and what waits for them
- broken.py: servers that are made wrong, each in one way, for the checker to catch
- broken_servers.py: the same for what guests, strangers, stops and slow readers find out
- broken_backplanes.py: the same for what several servers share
- run.py: a program: many runs, as long as you like
- soak.py: a program: one run with everybody at once, and what becomes of the server meanwhile

`test_chaos.py`, `test_guests.py`, `test_stops.py` and `test_servers.py` run a few seeds, `test_broken.py`,
`test_broken_servers.py` and `test_broken_backplanes.py` the broken servers, and `test_checker.py` and
`test_checker_servers.py` try the checker on histories written by hand. The idea of a checker that sees
nothing but histories is that of Jepsen's Maelstrom.
"""
