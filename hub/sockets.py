"""The two plain endpoints: `/ws/notifications/` reads `#<user id>`, `/ws/activity/` reads `activity`.

A client that names where it left (`?since=<offset>&epoch=<epoch>`) is sent everything after it, however much that is.
The greeting says where it stands; each frame carries its `offset`; a `position` says where a client stands that was not
allowed to see what came, or whose channel was just made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

import orjson
import structlog
from aiohttp import WSMsgType, web

from actors import closes
from actors.kernel import ActorError
from actors.log import Position
from actors.messages import Subscribed
from actors.session import Session
from hub import connections, frames, recoveries
from hub.addresses import address
from hub.centrifuge.codes import BAD_REQUEST, EXPIRED
from hub.ending import complete
from hub.errors import Unauthenticated, Unavailable
from hub.fold import FOLD, Fold
from hub.reading import mark_read
from hub.requests import authenticate, bearer
from hub.scan import ScanError
from hub.sessions import SESSIONS
from hub.sight import admits
from hub.tokens import Claims
from hub.transport import Transport
from models.access import Viewer
from models.resources.mistakes import Invalid

log = structlog.get_logger()

#: Largest message a client may send, in bytes; a larger one is closed with 1009.
LARGEST_MESSAGE = 64 * 1024

#: Seconds between the server's pings; a client silent for one and a half of them is gone.
KEEPALIVE = 25.0

#: Messages in a row that make no sense before a client is closed with 3501.
MISTAKES = 10

#: The subprotocol that is followed by a token: browsers cannot set headers on a WebSocket.
BEARER = "bearer"

#: Seconds for which a role looked up before may be used again: sockets go on while Postgres is away.
ROLE_WITHIN = 5.0


async def notifications(request: web.Request) -> web.StreamResponse:
    """The personal channel of whoever asks."""
    return await _serve(request, "notifications", lambda viewer: f"#{viewer.id}")


async def activity(request: web.Request) -> web.StreamResponse:
    """What happens, to each what they may see."""
    return await _serve(request, "activity", lambda _: "activity")


async def _serve(request: web.Request, endpoint: str, channel_of: Callable[[Viewer], str]) -> web.StreamResponse:
    fold = request.app[FOLD]
    protocols = offered(request)
    viewer, claims = await authenticate(request.app, _token(request, protocols), within=ROLE_WITHIN)
    if not fold.ready:
        raise Unavailable("This node is still reading the log; try again.")
    since = _since(request)
    socket = web.WebSocketResponse(
        compress=False, heartbeat=KEEPALIVE, max_msg_size=LARGEST_MESSAGE, protocols=protocols[:1]
    )
    await socket.prepare(request)
    transport = Transport(socket, request)
    session = Session(
        transport=transport,
        codec=frames.PLAIN,
        admits=admits(viewer),
        partition=fold.partition,
        scan=fold.scan,
    )
    transport.pipe.drained = session.resumed
    connections.opened(endpoint)
    request.app[SESSIONS].enter(viewer, session, claims.sign_in)
    expiry = _at(claims, partial(session.close, *EXPIRED))
    try:
        await _subscribe(fold, session, channel_of(viewer), since)
        await Conversation(session, viewer, address(request)).run(socket)
    finally:
        expiry.cancel()
        request.app[SESSIONS].leave(viewer, session)
        await complete(_leave(session, transport, socket, endpoint))
    return socket


async def _leave(session: Session, transport: Transport, socket: web.WebSocketResponse, endpoint: str) -> None:
    await session.leave()
    await transport.ended()
    connections.ended(endpoint, transport.code or socket.close_code)


async def _subscribe(fold: Fold, session: Session, channel: str, since: Position | None) -> None:
    try:
        if since is not None:
            await fold.await_place(channel, since)
        subscribed = await session.subscribe(channel, since=since, greet=partial(_greet, channel))
        if since is not None:
            recoveries.count(subscribed.recovered)
    except (ActorError, ScanError) as error:
        log.warning("subscribe_failed", channel=channel, error=repr(error))
        session.close(*closes.INTERNAL)


def _greet(channel: str, subscribed: Subscribed) -> bytes:
    return frames.message(
        {
            "type": "connection_established",
            "message": f"Following {channel}.",
            "channel": channel,
            "epoch": subscribed.epoch,
            "offset": subscribed.offset,
            "recovered": subscribed.recovered,
        }
    )


class Conversation:
    """What a client says on its socket, and the answers."""

    def __init__(self, session: Session, viewer: Viewer, remote: str | None) -> None:
        self._session = session
        self._viewer = viewer
        self._remote = remote
        self._mistakes = 0

    async def run(self, socket: web.WebSocketResponse) -> None:
        """Answer until the socket ends, or too much of what is said makes no sense."""
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                return
            data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            frames.PLAIN.received.add(1, len(data))
            mistake = await self._answer(message.data if message.type is WSMsgType.TEXT else None)
            if mistake is None:
                self._mistakes = 0
                continue
            self._mistakes += 1
            if self._mistakes > MISTAKES:
                self._session.close(*BAD_REQUEST)
                return
            self._session.send(frames.message({"type": "error", "message": mistake}))

    async def _answer(self, text: str | None) -> str | None:
        """Do what a message says; what is wrong with it otherwise."""
        try:
            content = None if text is None else orjson.loads(text)
        except orjson.JSONDecodeError:
            return _malformed("Not valid JSON.")
        if not isinstance(content, dict):
            return _malformed("A message must be a JSON object in a text frame.")
        match content.get("type"):
            case "ping":
                self._session.send(frames.message({"type": "pong", "timestamp": content.get("timestamp")}))
                return None
            case "mark_read":
                return await mark_read(self._viewer, content.get("notification_id"), remote=self._remote)
            case _:
                return "Unknown type. Allowed: ping, mark_read."


def _malformed(mistake: str) -> str:
    frames.MALFORMED.labels(frames.PLAIN.name).inc()
    return mistake


def offered(request: web.Request) -> Sequence[str]:
    """The subprotocols a client offers: none, or `bearer` and a token. Raises Invalid for others.

    Others never reach aiohttp's handshake: it would log them, and with them a token that was put in the wrong place.
    """
    header = request.headers.get("Sec-WebSocket-Protocol")
    if header is None:
        return ()
    protocols = [protocol.strip() for protocol in header.split(",")]
    if len(protocols) != 2 or protocols[0] != BEARER:
        raise Invalid({"Sec-WebSocket-Protocol": ["Must be: bearer, <access token>."]})
    return protocols


def _token(request: web.Request, protocols: Sequence[str]) -> str:
    """The access token, wherever the client put it. Raises Unauthenticated."""
    token = bearer(request) or request.query.get("token") or (protocols[1] if protocols else None)
    if not token:
        raise Unauthenticated
    return token


def _since(request: web.Request) -> Position | None:
    """Where the client left, if it says so. Raises Invalid."""
    offset, epoch = request.query.get("since"), request.query.get("epoch", "")
    if offset is None:
        return None
    if not (offset.isascii() and offset.isdigit() and len(offset) <= 16):
        raise Invalid({"since": ["Must be the offset of the last frame received, a whole number from 0."]})
    return Position(epoch, int(offset))


def _at(claims: Claims, act: Callable[[], None]) -> asyncio.TimerHandle:
    """Act when a token expires."""
    return asyncio.get_running_loop().call_later(max(0.0, claims.expires - time.time()), act)
