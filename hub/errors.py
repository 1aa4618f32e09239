"""Everything the hub refuses, and how a refusal looks to the client.

    Refusal                what it says, as {"detail": ...}
      Malformed      400
      Unauthenticated 401
      TokenNotValid  401   with code and messages
      Forbidden      403
      NotFound       404
      Conflict       409
      ChangedMeanwhile 412
      TooLarge       413
      KeyReused      422
      TooMany        429   with Retry-After
      Unavailable    503   with Retry-After
    Declined         400   {"error": "message"}, or another status
    Invalid          400   {"field": ["message"], ...} or {"non_field_errors": ["message"]}

Handlers raise these; `answer_errors` is the one place where they, and whatever else goes wrong, become a response.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
import asyncpg.exceptions
import structlog
from aiohttp import web
from tortoise.exceptions import DBConnectionError

from hub.responses import respond
from models.resources.mistakes import Invalid

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Set once a response has begun, after which nothing else can be sent.
BEGUN = web.RequestKey("begun", bool)


class Refusal(Exception):
    """The request cannot be done."""

    status: int = 400

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    @property
    def body(self) -> dict[str, Any]:
        return {"detail": str(self) or self.__doc__}


class Malformed(Refusal):
    """The body is not valid JSON."""


class Unauthenticated(Refusal):
    """Authentication credentials were not provided."""

    status = 401

    @property
    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="api"'}


class TokenNotValid(Unauthenticated):
    """The token is not valid or has expired."""

    @property
    def body(self) -> dict[str, Any]:
        return {
            "detail": self.__doc__,
            "code": "token_not_valid",
            "messages": [{"token_type": "access", "message": str(self)}],
        }


class Forbidden(Refusal):
    """You do not have permission to perform this action."""

    status = 403


class NotFound(Refusal):
    """Not found."""

    status = 404


class Conflict(Refusal):
    """What is asked for does not go with the state the record is in."""

    status = 409


class ChangedMeanwhile(Refusal):
    """The record is not in the state that If-Match asks for; fetch it again."""

    status = 412


class TooLarge(Refusal):
    """The body is too large."""

    status = 413

    def __init__(self, most: int) -> None:
        """`most` in bytes."""
        super().__init__(f"The body may have at most {most:,} bytes.")


class KeyReused(Refusal):
    """This Idempotency-Key was used with another body."""

    status = 422


class TooMany(Refusal):
    """Too many requests."""

    status = 429

    def __init__(self, seconds: float) -> None:
        """`seconds` until the next try makes sense."""
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(f"Too many requests. Try again in {self.seconds} seconds.")

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.seconds)}


class Declined(Refusal):
    """What was asked for cannot be done; said as the original API says it, under `error`."""

    def __init__(self, said: str, status: int = 400) -> None:
        super().__init__(said)
        self.status = status

    @property
    def body(self) -> dict[str, Any]:
        return {"error": str(self)}


class Unavailable(Refusal):
    """The database cannot be reached for the moment; try again."""

    status = 503

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": "2"}


#: What Postgres says when it is going, gone, not yet there, or gave this transaction up for another's sake.
PASSING = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # asyncpg's word for a connection that was lost while it was in use.
    asyncpg.exceptions.InternalClientError,
    DBConnectionError,
    OSError,
    TimeoutError,
)


def unavailable(error: BaseException | None) -> bool:
    """Whether an error means that Postgres is away or busy for the moment, rather than that the request is wrong."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, PASSING) or (
            isinstance(error, asyncpg.exceptions.InterfaceError) and "clos" in str(error)
        ):
            return True
        inner = next((a for a in error.args if isinstance(a, BaseException)), None)
        error, seen = inner or error.__cause__ or error.__context__, seen + 1
    return False


def refusal(error: Refusal) -> web.Response:
    """The response that tells a client of a refusal."""
    return respond(error.body, status=error.status, headers=error.headers)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a JSON response; no traceback, SQL or path leaves the process."""
    try:
        return await handler(request)
    except Refusal as error:
        return refusal(error)
    except Invalid as error:
        return respond(error.messages, status=400)
    except web.HTTPRequestEntityTooLarge:
        return refusal(TooLarge(request.client_max_size))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return respond({"detail": _said(error, request)}, status=error.status, headers=_kept(error))
    except Exception as error:
        if request.get(BEGUN):
            raise
        if unavailable(error):
            log.warning("postgres_away", method=request.method, path=request.path, error=repr(error))
            return refusal(Unavailable())
        log.exception("request_failed", method=request.method, path=request.path)
        return respond({"detail": "Something went wrong here; it has been logged."}, status=500)


async def mark_begun(request: web.Request, _response: web.StreamResponse) -> None:
    """Note that a response has begun (an `on_response_prepare` handler)."""
    request[BEGUN] = True


def _said(error: web.HTTPException, request: web.Request) -> str:
    match error:
        case web.HTTPNotFound():
            return "Not found."
        case web.HTTPMethodNotAllowed():
            return f'Method "{request.method}" not allowed.'
        case _:
            return error.reason


def _kept(error: web.HTTPException) -> dict[str, str]:
    return {name: value for name, value in error.headers.items() if name in ("Allow", "Retry-After")}
