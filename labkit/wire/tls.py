"""TLS: bytes in, ciphertext out, and back again. What goes over the wire cannot be read along or changed.

An `ssl.SSLSocket` must not be used by two threads at once, and here two use each connection: one waits in
`recv` while another sends. So a `TlsSession` holds no socket at all. The thread that reads hands it the
ciphertext it received and gets the plain bytes; the thread that writes hands it plain bytes and gets the
ciphertext to send. Each does so under the session's own lock, and neither waits for a socket there.

What OpenSSL wants to say by itself (its part of the handshake, tickets, alerts, new keys) it leaves with
the session, too. It has its place in the stream of ciphertext, so the thread that sends everything else
must send it: `decrypt` says through `pending` that there is some, and `encrypt(b"")` hands it over.

This file knows nothing of chat and touches no socket.
"""

from __future__ import annotations

import os
import ssl
import threading
from contextlib import suppress

RECORD = 16384
"""Bytes of plain text that one TLS record holds at most (RFC 8446, section 5.1)."""

FIRST_BYTES = (0x15, 0x16)
"""What either side's first record begins with, an alert or a handshake (RFC 8446, section 5.1). No text
does."""


Path = str | os.PathLike[str]
ForServer = ssl.SSLContext | tuple[Path, Path]
"""What a server can be given: a context, or the files of its certificate and of its key (PEM)."""

ForClient = ssl.SSLContext | Path | bool
"""What a client can be given: a context; the file of the certificates it trusts (PEM); or True for those
that this machine trusts anyway. None or False: no TLS."""


class Broken(ConnectionError):
    """TLS could not be agreed on, or what came is no TLS; the text says why."""


class TlsSession:
    """One connection's TLS, at one of its two ends. Any thread may call it.

    Args:
        context: `server_context` or `client_context` makes one.
        host: at the client's end, the host that the certificate must be for. None: the server's end.
    """

    def __init__(self, context: ssl.SSLContext, host: str | None = None) -> None:
        # Guards all below: OpenSSL's state of a connection is nobody's to touch while another does.
        self._lock = threading.Lock()
        self._came = ssl.MemoryBIO()  # ciphertext that was received
        self._goes = ssl.MemoryBIO()  # ciphertext that is to be sent
        self._host = host
        self._ssl = context.wrap_bio(self._came, self._goes, server_side=host is None, server_hostname=host)
        self._first = True  # nothing has come yet
        # For anybody to read. Each changes once, except `pending`.
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

        Until `ready` this is the handshake: nothing, or little, comes out, but there may be something to
        send. A piece has at most `size` bytes; a longer record is cut.

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
        """The ciphertext of `data`, after all that OpenSSL had to say before.

        Before the handshake is done nothing can be said: `data` is dropped then. So it is when the other
        side has broken TLS.
        """
        with self._lock:
            if self.ready and not self.trouble:
                rest = memoryview(data)
                with suppress(ssl.SSLError):  # broken in the meantime: whoever reads will say so
                    while rest:
                        rest = rest[self._ssl.write(rest) :]
            return self._taken()

    def goodbye(self) -> bytes:
        """The last ciphertext: close_notify, which tells an end from a cut (RFC 8446, section 6.1)."""
        with self._lock:
            if self.ready and not self.trouble:
                with suppress(ssl.SSLError):  # it would like to read theirs, too: that is not awaited
                    self._ssl.unwrap()
            return self._taken()

    def say_plainly(self, data: bytes) -> None:
        """Have this sent as it is, instead of an alert: to somebody who sent plain text."""
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

    A context of your own is used as it is, but for renegotiation, which is switched off: a write could
    have to wait for it.

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
        context.num_tickets = 0  # nobody comes back to this very connection
        _load(context, certificate, key)
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        TlsSession(context)
    except ssl.SSLError:
        raise ValueError("this SSLContext is a client's: a server needs PROTOCOL_TLS_SERVER") from None
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    locked = False

    def no_password() -> str:
        nonlocal locked
        locked = True
        return "?"  # OpenSSL would ask at the terminal

    _readable("certificate", certificate)
    _readable("key", key)
    try:
        # The certificate twice: only to learn whether it is one. That it is no key is told last.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        raise ValueError(f"{certificate} holds no certificate (PEM)") from None
    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(
                f"the key in {key} is not the one of the certificate in {certificate}"
            ) from None
        if locked:
            raise ValueError(
                f"the key in {key} is locked by a password: make one without (-nodes)"
            ) from None
        if error.reason and error.reason.endswith("TOO_SMALL"):
            raise ValueError(f"the key in {key} is too short to be safe") from None
        raise ValueError(f"{key} holds no private key (PEM)") from None


def client_context(tls: ForClient) -> ssl.SSLContext:
    """What a client needs: TLS 1.2 or newer, whom to trust, and that the host's name is checked.

    Raises:
        OSError: the file cannot be read; the text says which.
        ValueError: it holds no certificate.
    """
    if isinstance(tls, ssl.SSLContext):
        context = tls
    elif tls is True:
        context = ssl.create_default_context()
    else:
        if not isinstance(tls, (str, os.PathLike)):
            raise ValueError(f"tls is the file of a certificate, True, or an SSLContext, not {tls!r}")
        trusted = os.fspath(tls)
        _readable("certificate", trusted)
        try:
            context = ssl.create_default_context(cafile=trusted)
        except ssl.SSLError:
            raise ValueError(f"{trusted} holds no certificate (PEM)") from None
    if not isinstance(tls, ssl.SSLContext):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        TlsSession(context, "localhost")
    except ssl.SSLError:
        raise ValueError("this SSLContext is a server's: a client needs PROTOCOL_TLS_CLIENT") from None
    return context


def _readable(what: str, path: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        # OpenSSL's own words name no file.
        raise OSError(error.errno, f"cannot read the {what} {path}: {error.strerror}") from None


# --- what went wrong, in words ------------------------------------------------------------------

# Codes of X509_verify_cert, see openssl-verification-options(1) and x509_vfy.h.
_UNKNOWN = (18, 19, 20, 21)  # self-signed; self-signed in its chain; no issuer here; no chain
_OTHER_NAME = (62, 64)  # hostname mismatch, IP address mismatch
_NOT_YET, _EXPIRED = 9, 10

_REASONS = {
    "WRONG_VERSION_NUMBER": "what came is no TLS",
    "HTTP_REQUEST": "what came is no TLS",
    "UNSUPPORTED_PROTOCOL": "the other side speaks only an old version of it",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the other side speaks another version of it",
    "TLSV1_ALERT_UNKNOWN_CA": "the other side does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the other side refused our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the other side refused our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the other side says that our certificate has expired",
    "NO_SHARED_CIPHER": "the two sides have no cipher in common",
}


def _why(error: ssl.SSLError, host: str | None) -> str:
    """What the error means, in words for whoever sits at this end."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _UNKNOWN:
            return "the server's certificate is signed by nobody whom this client trusts"
        if error.verify_code in _OTHER_NAME:
            return f"the server's certificate is not for {host}"
        if error.verify_code == _EXPIRED:
            return "the server's certificate has expired"
        if error.verify_code == _NOT_YET:
            return "the server's certificate is not valid yet (is this machine's clock right?)"
        return f"the server's certificate will not do: {error.verify_message}"
    reason = error.reason or str(error)
    return _REASONS.get(reason, reason.lower().replace("_", " "))
