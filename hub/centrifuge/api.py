"""The server API over HTTP, `POST /api/<method>`: for backends, who have one key and may do everything.

The answer is `{"result": ...}` or `{"error": {"code", "message"}}`, with status 200 in either case unless the client
wants errors as statuses. A body that cannot be read is 400, a missing or wrong key 401.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from functools import wraps
from typing import ClassVar

from aiohttp import web

from hub.centrifuge.api_methods import METHODS, read, read_batch
from hub.centrifuge.api_parts import Api
from hub.centrifuge.api_request import ApiError, Given, parse
from hub.centrifuge.api_shapes import BATCH, ERROR, FAILED, REPLIES, REQUESTS, RESULTS
from hub.centrifuge.codec import Malformed
from hub.control import CONTROL
from hub.errors import Handler, NotFound, Refusal
from hub.fold import FOLD
from hub.keys import CONFIGURATION, NAMESPACES
from hub.openapi.operation import Key, Operation, Parameter, documented
from hub.openapi.shapes import fields
from hub.presence import PRESENCE
from hub.publish import PUBLISHER
from hub.responses import respond
from models.resources.kinds import Schema

#: Says how a client wants its errors: `transport` is as HTTP statuses.
ERROR_MODE = "X-Centrifugo-Error-Mode"

#: HTTP statuses of errors in that mode; 400 for others.
STATUSES: Mapping[int, int] = {100: 500, 102: 404, 103: 403, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}

API = web.AppKey("api", Api)


class KeyNotValid(Refusal):
    """The API key is missing or wrong."""

    status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'apikey realm="api"'}


class Unreadable(Refusal):
    """The body cannot be read."""


async def keep_answering(app: web.Application) -> AsyncIterator[None]:
    """The server API of an application; needs its fold, publisher and control."""
    app[API] = Api(
        publish=app[PUBLISHER].publish,
        log=app[FOLD],
        namespaces=app[NAMESPACES],
        control=app[CONTROL],
        presence=app[PRESENCE],
    )
    yield


def method(name: str) -> Handler:
    """The handler of one method."""

    async def handle(request: web.Request) -> web.Response:
        call = read(name, await _given(request))
        try:
            return respond({"result": await call(request.app[API])})
        except ApiError as error:
            if _wants_statuses(request):
                return respond(error.answer["error"], status=STATUSES.get(error.error.code, 400))
            return respond(error.answer)

    handle.__doc__ = METHODS[name].__doc__
    answer = {"anyOf": [fields(result=RESULTS[name]), FAILED]}
    return _readable(documented(_operation(REQUESTS[name], answer))(handle))


def _operation(request: Schema, answer: Schema) -> Operation:
    """What a command says and is answered; as statuses of HTTP if its client wants errors so."""
    errors = {status: ERROR for status in {*STATUSES.values(), 400}}
    return Operation(
        body=request,
        answers={200: answer, **errors},
        parameters=(Parameter(name=ERROR_MODE, place="header", about="`transport` wants errors as HTTP statuses."),),
        refusals=(KeyNotValid, Unreadable, NotFound),
        key=Key.API,
    )


@documented(_operation(BATCH, REPLIES))
async def _batch(request: web.Request) -> web.Response:
    """Several commands at once, answered as `{"replies": [{"<method>": ...} or {"error": ...}, ...]}`."""
    call = read_batch(await _given(request))
    return respond({"replies": await call(request.app[API])})


def _readable(handler: Handler) -> Handler:
    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Malformed as error:
            raise Unreadable(str(error)) from None

    return handle


async def _given(request: web.Request) -> Given:
    """The fields of a request whose sender may ask. Raises KeyNotValid, NotFound or Malformed."""
    options = request.app[CONFIGURATION].http_api
    if options.disabled:
        raise NotFound
    if not options.insecure and not _opens(options.key, _key(request)):
        raise KeyNotValid
    return parse(await request.read())


def _key(request: web.Request) -> str:
    """The key a client sent, wherever it did: the first of these places that is used decides."""
    if key := request.headers.get("X-API-Key"):
        return key
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "apikey":
        return key.strip()
    return request.query.get("api_key", "")


def _opens(key: str, sent: str) -> bool:
    """Whether what was sent is the key, in a time that does not tell how much of it is. No key opens nothing."""
    return bool(key) and hmac.compare_digest(key.encode(), sent.encode(errors="surrogatepass"))


def _wants_statuses(request: web.Request) -> bool:
    mode = request.headers.get(ERROR_MODE) or request.app[CONFIGURATION].http_api.error_mode
    return mode == "transport"


#: By the last part of the path.
HANDLERS: Mapping[str, Handler] = {**{name: method(name) for name in METHODS}, "batch": _readable(_batch)}
