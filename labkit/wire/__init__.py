"""What both ends must agree on, and what carries it.

Pure: framing.py (bytes in, messages out), messages.py (what can be said), text.py (what is safe to show),
nicknames.py (which are fit), errors.py (what an error number means),
browser.py (where there is no chat).
I/O: addresses.py (what a host's name stands for), sockets.py (where operating systems differ),
selecting.py (any number of them at once), descriptors.py (how many of them), winsock.py (Windows' own),
tls.py (TLS, without a socket of its own).
"""
