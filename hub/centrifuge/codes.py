"""What a client is told when something goes wrong: errors, closes and unsubscribes of the protocol.

An error answers one command. A close ends the connection: clients come back by themselves after 3000-3499 and
4000-4499, and stay away after 3500-3999 and 4500-4999. An unsubscribe ends one subscription: from 2500 on clients
subscribe again. Errors of our own are 400-1999, closes of our own 4000-4999.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from actors import closes
from actors.closes import Close


class Error(NamedTuple):
    """The answer to a command that failed. After a temporary one, clients try again by themselves."""

    code: int
    message: str
    temporary: bool = False


INTERNAL_ERROR = Error(100, "internal server error", temporary=True)
UNAUTHORIZED = Error(101, "unauthorized")
UNKNOWN_CHANNEL = Error(102, "unknown channel")
PERMISSION_DENIED = Error(103, "permission denied")
METHOD_NOT_FOUND = Error(104, "method not found")
ALREADY_SUBSCRIBED = Error(105, "already subscribed")
LIMIT_EXCEEDED = Error(106, "limit exceeded")
#: The command could be read, but makes no sense.
BAD_ARGUMENTS = Error(107, "bad request")
NOT_AVAILABLE = Error(108, "not available")
#: The client asks its application for a new token and tries again.
TOKEN_EXPIRED = Error(109, "token expired")
#: The connection has expired, without a token being involved.
CONNECTION_EXPIRED = Error(110, "expired")
TOO_MANY_REQUESTS = Error(111, "too many requests", temporary=True)
#: The wanted stretch of a channel is not remembered, or the epoch is another.
UNRECOVERABLE_POSITION = Error(112, "unrecoverable position")
CONCURRENT_PAGINATION = Error(113, "concurrent pagination", temporary=True)


# After these, clients come back. 3001, 3004, 3008 and 3010 are in actors.closes.

CLOSED = Close(3000, "connection closed")
EXPIRED = Close(3005, "connection expired")
SUBSCRIPTION_EXPIRED = Close(3006, "subscription expired")
WRITE_ERROR = Close(3009, "write error")
RECONNECT = Close(3011, "force reconnect")
NO_PONG = Close(3012, "no pong")
FLOODED = Close(3013, "too many requests")
#: The client drops its token and its positions first.
STATE_INVALIDATED = Close(3014, "state invalidated")

# After these, they stay away.

INVALID_TOKEN = Close(3500, "invalid token")
#: What was sent is not the protocol.
BAD_REQUEST = Close(3501, "bad request")
#: No connect command came in time.
STALE = Close(3502, "stale")
GONE = Close(3503, "force disconnect")
CONNECTION_LIMIT = Close(3504, "connection limit")
CHANNEL_LIMIT = Close(3505, "channel limit")
INAPPROPRIATE_PROTOCOL = Close(3506, "inappropriate protocol")
FORBIDDEN = Close(3507, "permission denied")
UNAVAILABLE = Close(3508, "not available")
TOO_MANY_ERRORS = Close(3509, "too many errors")

#: What a unidirectional client is told instead of the error that refuses its connect request.
_INSTEAD: Mapping[Error, Close] = {
    UNAUTHORIZED: BAD_REQUEST,
    PERMISSION_DENIED: FORBIDDEN,
    TOKEN_EXPIRED: EXPIRED,
    CONNECTION_EXPIRED: EXPIRED,
    TOO_MANY_REQUESTS: FLOODED,
}


def instead(error: Error) -> Close:
    """How a connection ends that can be answered no error."""
    return _INSTEAD.get(error, closes.INTERNAL)


class Unsubscribe(NamedTuple):
    """The end of one subscription by the server."""

    code: int
    reason: str


#: The subscription is over for good.
UNSUBSCRIBED = Unsubscribe(2000, "server unsubscribe")
#: A hole or a new epoch: the client subscribes again, and recovers from where it stands.
LOST = Unsubscribe(2500, "insufficient state")
#: The client subscribes again with a new token.
OUTDATED = Unsubscribe(2501, "subscription expired")
#: The client drops its token and its position, then subscribes again.
INVALIDATED = Unsubscribe(2502, "state invalidated")


class Refused(Exception):
    """A command cannot be done; it is answered with this error and the connection goes on."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


class Ended(Exception):
    """The connection must end with this close."""

    def __init__(self, close: Close) -> None:
        super().__init__(close.reason)
        self.close = close
