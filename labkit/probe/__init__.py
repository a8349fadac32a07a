"""What looks at a server from outside: a bare client, a started command, the kernel's view.

- deadline.py     how long to wait for a server, so that a busy machine is not held against it
- failed.py       what a failed check raises: expected, seen
- kernel.py       what the kernel knows of the other end of a connection
- launch.py       a server in any language, started as a command, and stopped again with all that it has
                  started
- netlink.py      one question to the Linux kernel, about one TCP connection
- raw_client.py   a client that is nothing but a socket
"""
