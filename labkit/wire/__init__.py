"""What both ends must agree on, and what carries it.

Pure: framing.py (bytes in, messages out), messages.py (what can be said), text.py (what is safe to show),
nicknames.py (which are fit), errors.py (what an error number means),
browser.py (where there is no chat).
Why an import failed: extras.py (it is installed only if asked for), shadows.py (a file of the user's hides
one of Python's modules).
I/O: addresses.py (what a host's name stands for), sockets.py (where operating systems differ),
selecting.py (any number of them at once), descriptors.py (how many of them), winsock.py (Windows' own),
tls.py (TLS, without a socket of its own).
"""
