"""What looks at a server from outside: a bare client, a server started as a command, the kernel's view.

- children.py     starts processes that end with this one, however it ends
- commands.py     command lines, as a user of this system types them
- deadline.py     how long to wait for a program, not counting the pauses of a busy machine
- failed.py       what a failed check raises: expected, seen
- job.py          Windows: what a process starts, to be ended with it
- kernel.py       what the kernel knows of the other end of a connection
- launch.py       a server in any language, started as a command, and stopped with all that it has started
- netlink.py      questions to the Linux kernel, about one TCP socket
- patience.py     a clock that stands still while others use the machine
- ports.py        ports that are free, and stay so
- queues.py       what both ends' kernels keep, and what waits for accept
- raw_client.py   a client that is nothing but a socket
- reaper.py       the process that ends what another one has started, once that one is gone
- typed_program.py   a program on whose standard input is typed, and whose output is read
"""
