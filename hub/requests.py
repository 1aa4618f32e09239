"""What a request says: who asks, from where, and the JSON in its body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import orjson
import structlog
from aiohttp import web

from hub import patience, tokens
from hub.addresses import address
from hub.errors import Forbidden, Handler, Malformed, TokenNotValid, Unauthenticated
from hub.keys import RATES, SECRET, VIEWERS
from models.access import Role, Viewer
from models.database import Context
from models.resources.mistakes import Invalid

#: Largest body, in bytes.
LARGEST_BODY = 1024 * 1024

#: Seconds until a request that waits for Postgres is told to come again; browsers give up after ten.
PATIENCE = 9.0

#: The signed-in user; there unless the route is PUBLIC.
VIEWER = web.RequestKey("viewer", Viewer)
#: What their token says.
CLAIMS = web.RequestKey("claims", tokens.Claims)
REQUEST_ID = web.RequestKey("request_id", str)


@dataclass(frozen=True, kw_only=True)
class Who:
    """Who may call a route. What a record's rules add is for models/access.py."""

    signed_in: bool = True
    #: Roles that may; empty means every role.
    roles: frozenset[Role] = frozenset()
    #: Seconds for which a role looked up before may be used again; routes that do without Postgres say some.
    within: float = 0.0
    #: Whether the answer may take as long as it likes, as that of a socket does.
    lasting: bool = False
    #: Whether requests count against the rates of their user and address; sockets and keys have limits of their own.
    rated: bool = True


async def authenticate(app: web.Application, token: str, *, within: float = 0.0) -> tuple[Viewer, tokens.Claims]:
    """The viewer behind an access token, and what the token says. Raises TokenNotValid."""
    try:
        claims = tokens.read(app[SECRET], token, tokens.Kind.ACCESS)
    except tokens.TokenError as error:
        raise TokenNotValid(str(error)) from None
    viewer = await app[VIEWERS].get(claims.user_id, sign_in=claims.sign_in, within=within)
    if viewer is None:
        raise TokenNotValid("User is inactive or gone, or has signed out.")
    return viewer, claims


def bearer(request: web.Request) -> str | None:
    """The token in the Authorization header, None if there is no such header. Raises Unauthenticated for others."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header must be: Bearer <access token>.")
    return token.strip()


def guarded(handler: Handler, who: Who) -> Handler:
    """The handler behind the check of who is asking, and answering in time."""

    async def admitted(request: web.Request) -> web.StreamResponse:
        if who.rated:
            request.app[RATES].address.take(address(request))
        if who.signed_in:
            token = bearer(request)
            if token is None:
                raise Unauthenticated
            request[VIEWER], request[CLAIMS] = await authenticate(request.app, token, within=who.within)
            if who.rated:
                request.app[RATES].user.take(request[VIEWER].id)
            if who.roles and request[VIEWER].role not in who.roles:
                raise Forbidden
        return await handler(request)

    if who.lasting and not who.signed_in:
        return handler

    async def timely(request: web.Request) -> web.StreamResponse:
        return await patience.within(PATIENCE, admitted(request))

    return admitted if who.lasting else timely


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every request an id (the client's own if that is a UUID), on its log lines and its response."""
    try:
        request_id = str(UUID(request.headers.get("X-Request-ID", "")))
    except ValueError:
        request_id = str(uuid4())
    request[REQUEST_ID] = request_id
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return await handler(request)


async def name_response(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request id on the response, and no version numbers (an `on_response_prepare` handler)."""
    response.headers["X-Request-ID"] = request[REQUEST_ID]
    response.headers["Server"] = "switchboard"
    response.headers["X-Content-Type-Options"] = "nosniff"


def context(request: web.Request, *, actor: int | None = None) -> Context:
    """Who, from where and which request, for the database to note with every change."""
    viewer = request.get(VIEWER)
    return Context(
        actor=viewer.id if viewer else actor,
        ip=address(request),
        user_agent=request.headers.get("User-Agent", "")[:500].encode(errors="replace").decode(),
        request_id=request[REQUEST_ID],
        source="api",
    )


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. Raises Malformed, Invalid, or HTTPRequestEntityTooLarge."""
    return parse_object(await request.read())


async def no_body(request: web.Request) -> bytes:
    """The body of a request that has nothing to say: none, or an empty object. Raises Malformed and Invalid."""
    raw = await request.read()
    if raw.strip():
        only(parse_object(raw), ())
    return raw


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object from bytes. Raises Malformed for what is not JSON, Invalid for what is not an object."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Malformed(
            f"The body is not valid JSON: {error.msg} at line {error.lineno} column {error.colno}."
        ) from None
    if not isinstance(value, dict):
        raise Invalid({"non_field_errors": ["The body must be a JSON object."]})
    return value


def only(given: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """Raise Invalid that names each key which is not allowed, and what is."""
    unknown = [name for name in given if name not in allowed]
    if unknown:
        raise Invalid({name: [f"Unknown. Allowed: {', '.join(allowed) or 'nothing'}."] for name in unknown})
