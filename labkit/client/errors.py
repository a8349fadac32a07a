"""What ChatClient raises, besides Python's own errors."""


class ConnectionEnded(ConnectionError):
    """The connection has ended, by this client or by its server, and what was asked cannot be done."""


class ComingBack(TimeoutError):
    """The client looks for another server just now; what was to be said was not said."""


class NicknameRefused(ValueError):
    """The server refused the nickname; the text says why."""


class PasswordNeeded(ValueError):
    """The server asks for a password, and the client has none; see `ChatClient.give_password`."""


class WrongPassword(PasswordNeeded):
    """The server refused the password."""
