"""TLS: bytes in, ciphertext out, and back again. Nobody on the way can read it, or change it unnoticed.

Two threads must not use an `ssl.SSLSocket` at once, and here two use each connection: one waits in `recv`
while the other sends. So a `TlsSession` holds no socket. The reading thread hands it the ciphertext it
received and gets the plain bytes; the writing thread hands it plain bytes and gets the ciphertext to send.
Each does so under the session's own lock, and neither waits for a socket there.

OpenSSL has messages of its own (handshake, tickets, alerts, new keys), with their place in the stream. So
the thread that sends everything else must send these, too: `pending` says that there are some, and
`encrypt(b"")` hands them over.
"""

from __future__ import annotations

import os
import ssl
import threading
from contextlib import suppress

RECORD = 16384
"""Bytes of plain text that one TLS record holds at most (RFC 8446, section 5.1)."""

FIRST_BYTES = (0x15, 0x16)
"""How either side's first record begins: an alert or a handshake (RFC 8446, section 5.1). No text does."""

Path = str | os.PathLike[str]
ForServer = ssl.SSLContext | tuple[Path, Path]
"""What a server takes: a context, or the files of its certificate and of its key (PEM)."""

ForClient = ssl.SSLContext | Path | bool
"""What a client takes: a context; the file of the certificates it trusts (PEM); or True for those that this
machine trusts anyway. None or False: no TLS."""


class Broken(ConnectionError):
    """TLS could not be agreed on, or what came is no TLS; the text says why."""


def is_for(files: tuple[Path, Path], host: str) -> bool:
    """Whether a client that trusts this certificate, of (certificate, key), takes it for this host's."""
    server = TlsSession(server_context(files))
    try:
        client = TlsSession(client_context(files[0]), host.partition("%")[0])
        while not client.ready:
            client.decrypt(server.encrypt(b""))
            server.decrypt(client.encrypt(b""))
    except (Broken, ValueError):  # ValueError: it is no host's name
        return False
    return True


class TlsSession:
    """One connection's TLS, at one of its two ends. Any thread may call it.

    Args:
        context: `server_context` or `client_context` makes one.
        host: at the client's end, the host that the certificate must be for. None: the server's end.
    """

    def __init__(self, context: ssl.SSLContext, host: str | None = None) -> None:
        # Guards all below: two threads must not touch OpenSSL's state of a connection at once.
        self._lock = threading.Lock()
        self._came = ssl.MemoryBIO()  # ciphertext that was received
        self._goes = ssl.MemoryBIO()  # ciphertext that is to be sent
        self._host = host
        self._ssl = context.wrap_bio(self._came, self._goes, server_side=host is None, server_hostname=host)
        self._first = True  # nothing has come yet
        # Any thread may read these. Each changes once, except `pending`.
        self.ready = False  # the handshake is done
        self.ended = False  # the other side has said goodbye (close_notify): nothing more will come
        self.trouble = ""  # why this is no TLS connection (any more) …
        self.plain_text = False  # … and whether it is because the other side knows nothing of TLS
        self.pending = False  # OpenSSL has something to send

    def __repr__(self) -> str:
        state = self.trouble or (
            "over" if self.ended else self._ssl.version() if self.ready else "handshake"
        )
        return f"<TlsSession, {state}>"

    def decrypt(self, ciphertext: bytes, size: int = RECORD) -> list[bytes]:
        """Take what was received; return the plain bytes in it, a piece for each record.

        Until `ready` this is the handshake: little or nothing comes out, but something may be `pending`.
        A piece has at most `size` bytes; a longer record is cut.

        Raises:
            Broken: it is no TLS, or not from whom it should be. An alert that says so may be `pending`.
        """
        pieces: list[bytes] = []
        with self._lock:
            if self._first and ciphertext:
                self._first = False
                if ciphertext[0] not in FIRST_BYTES:
                    self.trouble, self.plain_text = "plain text came", True
                    raise Broken(self.trouble)  # OpenSSL would first wait for more of it
            self._came.write(ciphertext)
            try:
                if not self.ready:
                    self._ssl.do_handshake()
                    self.ready = True
                while piece := self._ssl.read(size):
                    pieces.append(piece)
                self.ended = True
            except ssl.SSLWantReadError:
                pass  # that was all
            except ssl.SSLZeroReturnError:
                self.ended = True
            except ssl.SSLError as error:
                self.trouble = _why(error, self._host)
                raise Broken(self.trouble) from None
            finally:
                self.pending = bool(self._goes.pending)
        return pieces

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """The ciphertext of `data`, after what OpenSSL has to send itself.

        Before the handshake is done, and after the other side has broken TLS, `data` is dropped.
        """
        with self._lock:
            if self.ready and not self.trouble:
                rest = memoryview(data)
                with suppress(ssl.SSLError):  # broken in the meantime: the reader will say so
                    while rest:
                        rest = rest[self._ssl.write(rest) :]
            return self._taken()

    def goodbye(self) -> bytes:
        """The last ciphertext: close_notify, which tells an end from a cut (RFC 8446, section 6.1)."""
        with self._lock:
            if self.ready and not self.trouble:
                with suppress(ssl.SSLError):  # it wants to read theirs, too, which we do not await
                    self._ssl.unwrap()
            return self._taken()

    def say_plainly(self, data: bytes) -> None:
        """Have this sent as it is, instead of an alert: to a client that sent plain text."""
        with self._lock:
            self._goes.read()
            self._goes.write(data)
            self.pending = True

    def _taken(self) -> bytes:
        """What is to be sent. The lock must be held."""
        assert self._lock.locked()
        self.pending = False
        return self._goes.read()


# --- contexts -----------------------------------------------------------------------------------


def server_context(tls: ForServer) -> ssl.SSLContext:
    """What a server needs: TLS 1.2 or newer, and a certificate with its key.

    A context of your own is used as it is, but for renegotiation, which is switched off.

    Raises:
        OSError: a file cannot be read; the text says which.
        ValueError: it holds no certificate, or no key, or they do not belong together.
    """
    if isinstance(tls, ssl.SSLContext):
        context = tls
    else:
        try:
            certificate, key = (os.fspath(path) for path in tls)
        except (TypeError, ValueError):
            raise ValueError(
                f"tls is a pair of files, (certificate, key), or an SSLContext, not {tls!r}"
            ) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0  # no client comes back to this very connection
        _load(context, certificate, key)
    return _usable(context, None, "this SSLContext is a client's: a server needs PROTOCOL_TLS_SERVER")


def client_context(tls: ForClient) -> ssl.SSLContext:
    """What a client needs: TLS 1.2 or newer, whom to trust, and that the host's name is checked.

    Raises:
        OSError: the file cannot be read; the text says which.
        ValueError: it holds no certificate.
    """
    if isinstance(tls, ssl.SSLContext):
        context = tls
    elif tls is not True and not isinstance(tls, (str, os.PathLike)):
        raise ValueError(f"tls is the file of a certificate, True, or an SSLContext, not {tls!r}")
    else:
        trusted = None if tls is True else _readable("certificate", os.fspath(tls))
        try:
            context = ssl.create_default_context(cafile=trusted)
        except ssl.SSLError:
            raise ValueError(f"{trusted} holds no certificate (PEM)") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    return _usable(
        context, "localhost", "this SSLContext is a server's: a client needs PROTOCOL_TLS_CLIENT"
    )


def _usable(context: ssl.SSLContext, host: str | None, otherwise: str) -> ssl.SSLContext:
    context.options |= ssl.OP_NO_RENEGOTIATION  # a write could have to wait for it
    try:
        TlsSession(context, host)
    except ssl.SSLError:
        raise ValueError(otherwise) from None
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    def no_password() -> str:  # OpenSSL would ask at the terminal
        raise ValueError(f"the key in {key} is locked by a password: make one without (-nodes)")

    _readable("certificate", certificate)
    _readable("key", key)
    try:
        # First this alone: `load_cert_chain` does not say which of the two files is wrong.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        raise ValueError(f"{certificate} holds no certificate (PEM)") from None
    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        why = f"{key} holds no private key (PEM)"
        if error.reason == "KEY_VALUES_MISMATCH":
            why = f"the key in {key} is not the one of the certificate in {certificate}"
        elif error.reason and error.reason.endswith("TOO_SMALL"):
            why = f"the key in {key} is too short to be safe"
        raise ValueError(why) from None


def _readable(what: str, path: str) -> str:
    """The path of a file that can be read: OpenSSL's own errors name none."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise OSError(error.errno, f"cannot read the {what} {path}: {error.strerror}") from None
    return path


# --- what went wrong, in words ------------------------------------------------------------------

_UNKNOWN = "is signed by nobody whom this client trusts"
_OTHER_NAME = "is not for {host}"
# Codes of X509_verify_cert, see openssl-verification-options(1) and x509_vfy.h.
_THE_CERTIFICATE = {
    9: "is not valid yet (is this machine's clock right?)",
    10: "has expired",
    18: _UNKNOWN,  # self-signed
    19: _UNKNOWN,  # self-signed in its chain
    20: _UNKNOWN,  # no issuer here
    21: _UNKNOWN,  # no chain
    62: _OTHER_NAME,
    64: _OTHER_NAME,  # of an IP address
}

_REASONS = {
    "WRONG_VERSION_NUMBER": "what came is no TLS",
    "TLSV1_ALERT_UNKNOWN_CA": "the other side does not trust our certificate",
}


def _why(error: ssl.SSLError, host: str | None) -> str:
    """What the error means, in words for the user at this end."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _THE_CERTIFICATE.get(error.verify_code, "will not do: {message}")
        return "the server's certificate " + words.format(host=host, message=error.verify_message)
    reason = error.reason or str(error)
    _, alert, said = reason.partition("_ALERT_")
    words = f"the other side says: {said}" if alert else reason
    return _REASONS.get(reason, words.lower().replace("_", " "))
