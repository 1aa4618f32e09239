"""A client: one connection, what it asks, one command after the other, and what it is told.

It begins with the connect command; whatever comes before that ends it. A command that cannot be done is answered with
an error, one that is not the protocol ends the connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from uuid import UUID, uuid4

import structlog
from prometheus_client import Counter

from actors.closes import INTERNAL, Close
from actors.presence import ClientInfo
from actors.session import Session
from actors.session import Transport as SessionTransport
from hub import connections, frames
from hub.centrifuge import channel_commands, codes, permissions, rpc
from hub.centrifuge.claims import SubscriptionOptions
from hub.centrifuge.codec import Command, Content, Malformed, Method, Push, WireFormat
from hub.centrifuge.codes import Ended, Error, Refused
from hub.centrifuge.identity import Identity, identify, viewer
from hub.centrifuge.lifetime import Lifetime
from hub.centrifuge.node import Node
from hub.centrifuge.subscriptions import Subscriptions, expiry_of
from hub.crm_channels import crm
from hub.errors import unavailable
from hub.publish import OutcomeUnknown
from hub.sight import admits, nobody
from hub.version import VERSION
from models.access import Viewer

log = structlog.get_logger()

COMMANDS = Counter("hub_commands_total", "Commands of clients; code 0 is no error", ["method", "code"])


class Client:
    """One connection. Its owner, the transport's handler, hands it what comes, and calls `leave` at the end."""

    def __init__(
        self,
        node: Node,
        transport: SessionTransport,
        format: WireFormat,
        *,
        name: str,
        address: str | None,
        pings: bool = True,
        session_id: str = "",
        unidirectional: bool = False,
    ) -> None:
        """`name` is the transport's; without `pings` the transport keeps the connection alive by itself. `session_id`
        is what a client names that sends its commands beside its transport. A unidirectional client says only how it
        connects, gets pushes only, and answers no ping.
        """
        self.id = str(uuid4())
        self.session_id = session_id
        self.node = node
        self.format = format
        self.transport = name
        self.address = address
        self.unidirectional = unidirectional
        #: When it connected, in Unix milliseconds, and its id: which of a user's connections is the newest.
        self.came = (0, self.id)
        #: Known from the connect command on.
        self.identity: Identity | None = None
        settings = node.configuration.client
        self.session = Session(
            transport=transport,
            codec=format,
            admits=nobody,
            partition=node.fold.partition,
            scan=node.fold.scan,
            lost=self._lost,
            queue_bytes=settings.queue_max_size,
        )
        self.subscriptions = Subscriptions(self)
        self._viewer: Viewer | None = None
        self._turn = asyncio.Lock()
        #: How many commands may be asked for beside each other; their answers come as they are ready.
        self._beside = asyncio.Semaphore(settings.concurrency) if settings.concurrency > 1 else None
        self._refused = False
        self._orders: dict[asyncio.Task[None], None] = {}
        self._lifetime = Lifetime(
            settings, node.wheel, end=self.end, ping=self._say_ping, pings=pings, pongs=not unidirectional
        )

    @property
    def user(self) -> str:
        """The user's id; empty for nobody known."""
        return "" if self.identity is None else self.identity.user

    @property
    def _sign_in(self) -> UUID | None:
        return None if self.identity is None else self.identity.sign_in

    def info(self, chan_info: bytes | None = None) -> ClientInfo:
        """What others are shown of it."""
        conn_info = None if self.identity is None else self.identity.info
        return ClientInfo(user=self.user, client=self.id, conn_info=conn_info, chan_info=chan_info)

    @property
    def insecure(self) -> bool:
        """Whether everybody may do everything."""
        return self.node.configuration.client.insecure

    async def viewer(self) -> Viewer | None:
        """The user in the CRM, None if there is none there. From then on what they may see is delivered.

        Raises Refused while that cannot be known.
        """
        if self._viewer is None:
            self._viewer = await viewer(self.node, self.user, self._sign_in)
            if self._viewer is not None:
                self.session.admits = admits(self._viewer)
                self.node.sessions.enter(self._viewer, self.session, self._sign_in)
        return self._viewer

    # What comes.

    async def hear(self, frame: bytes | str) -> None:
        """Do what a frame asks, in order; with `client.concurrency`, what only asks and answers beside the rest."""
        if self.unidirectional and self.identity is not None:
            return
        size = len(frame) if isinstance(frame, bytes) else len(frame.encode())
        try:
            commands = self.format.decode(frame)
        except Malformed as error:
            log.info("client_malformed", error=str(error))
            self.format.received.add(0, size)
            frames.MALFORMED.labels(self.format.name).inc()
            self.end(codes.BAD_REQUEST)
            return
        self.format.received.add(len(commands), size)
        for command in commands:
            if self.session.closed or self._refused:
                return
            if self._beside is not None and command.method in BESIDE:
                await self._beside.acquire()
                self._keep(asyncio.create_task(self._do_beside(command, self._beside)))
                continue
            async with self._turn:
                await self._do(command)

    async def _do_beside(self, command: Command, room: asyncio.Semaphore) -> None:
        try:
            await self._do(command)
        finally:
            room.release()

    def hear_soon(self, frame: bytes | str) -> None:
        """Do what a frame asks that another node was given, without waiting for it."""
        self._keep(asyncio.create_task(self.hear(frame)))

    def order(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do something for this client when its turn comes, between two commands."""

        async def run() -> None:
            async with self._turn:
                if not (self.session.closed or self._refused):
                    try:
                        await act()
                    except Ended as ended:
                        self.end(ended.close)
                    except Exception:
                        log.exception("order_failed", client=self.id)
                        self.end(INTERNAL)

        self._keep(asyncio.create_task(run()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._orders[task] = None
        task.add_done_callback(self._orders.pop)

    async def leave(self) -> None:
        """End all that is done for this client."""
        self._lifetime.leave()
        for task in self._orders:
            task.cancel()
        self.subscriptions.leave()
        await self.session.leave()
        self.node.clients.leave(self)
        if self._viewer is not None:
            self.node.sessions.leave(self._viewer, self.session)

    # What it is told.

    def end(self, close: Close) -> None:
        """Close the connection."""
        self.session.close(*close)

    def renew(self, identity: Identity) -> None:
        """Take what is said of the same user now, and with it when the connection ends."""
        self.identity = identity
        if self._viewer is not None:
            self.node.sessions.enter(self._viewer, self.session, self._sign_in)
        self._lifetime.expires(identity.expires_at)

    def push(self, channel: str, kind: Push, content: Content) -> None:
        """Tell it something it did not ask for."""
        self.session.send(self.format.frame(self.format.push(channel, kind, content)))

    def _reply(self, id: int, method: Method, result: Content) -> bytes:
        return self.format.frame(self.format.reply(id, method, result))

    def _error(self, id: int, error: Error) -> bytes:
        return self.format.frame(self.format.error(id, error))

    # Commands.

    async def _do(self, command: Command) -> None:
        if command.pong:
            self._lifetime.ponged()
            return
        code = 0
        try:
            if command.method is None or (self.identity is None) != (command.method == "connect"):
                raise Ended(codes.BAD_REQUEST)
            await HANDLERS[command.method](self, command)
        except Refused as refused:
            code = refused.error.code
            self._refuse(command, refused.error)
        except Ended as ended:
            code = ended.close.code
            self.end(ended.close)
        except Exception:
            code = INTERNAL.code
            log.exception("command_failed", method=command.method)
            self.end(INTERNAL)
        COMMANDS.labels(command.method or "unknown", code).inc()

    def _refuse(self, command: Command, error: Error) -> None:
        if self.unidirectional:
            self.end(codes.instead(error))
            return
        self.session.send(self._error(command.id, error))
        if command.method == "connect":
            self._refused = True
            self._lifetime.refused()

    async def _connect(self, command: Command) -> None:
        request, settings = command.request, self.node.configuration.client
        identity = await identify(self.node, request["token"])
        limit = settings.user_connection_limit
        if limit and identity.user and len(self.node.clients.of_user(identity.user)) >= limit:
            connections.refused("user_connection_limit")
            raise Ended(codes.CONNECTION_LIMIT)
        self.identity = identity
        self.node.clients.enter(self)
        if settings.subscribe_to_user_personal_channel.single_connection and identity.user:
            await self._be_only()
        wanted = await self._wanted(identity, request["subs"])
        self.session.hold()
        try:
            subs = await self.subscriptions.begin_by_server(wanted, request["subs"])
        except Refused:
            self.session.release(b"")
            raise
        result = {
            "client": self.id,
            "version": VERSION,
            "ping": int(settings.ping_interval) if self._lifetime.pings else 0,
            "pong": self._lifetime.pongs,
            "subs": subs,
            "session": self.session_id,
            "node": self.node.uid if self.session_id and not self.unidirectional else "",
            "time": int(time.time() * 1000) if settings.connect_include_server_time else 0,
            **expiry_of(identity.expires_at),
        }
        self.session.release(self._reply(command.id, "connect", result))
        self._lifetime.connected()
        self._lifetime.expires(identity.expires_at)

    async def _be_only(self) -> None:
        """Have every node close the user's other connections, as far as they came before this one. Raises Refused."""
        at, client = self.came = (int(time.time() * 1000), self.id)
        try:
            await self.node.control.order("supersede", {"user": self.user, "at": at, "client": client})
        except OutcomeUnknown as error:
            raise Refused(codes.INTERNAL_ERROR) from error

    async def _wanted(self, identity: Identity, asked: Iterable[str]) -> Mapping[str, SubscriptionOptions]:
        """What the server subscribes it to: by its token, to its own channel, and what it asks for that it may have."""
        wanted = dict(identity.subscriptions)
        personal = self.node.configuration.client.subscribe_to_user_personal_channel
        if personal.enabled and identity.user:
            name = self.node.namespaces.personal(identity.user, personal.personal_channel_namespace)
            if crm(name) is None or await self.viewer() is not None:
                wanted.setdefault(name, SubscriptionOptions())
        more = [channel for channel in asked if channel not in wanted]
        if len(wanted) + len(more) > self.node.configuration.client.channel_limit:
            raise Ended(codes.CHANNEL_LIMIT)
        return wanted | await permissions.asked(self, more)

    async def _subscribe(self, command: Command) -> None:
        await self.subscriptions.begin(
            command.request,
            lambda result: self._reply(command.id, "subscribe", result),
            refuse=lambda error: self._error(command.id, Error(**error)),
        )

    async def _unsubscribe(self, command: Command) -> None:
        await self.subscriptions.end(command.request["channel"])
        self.session.send(self._reply(command.id, "unsubscribe", {}))

    async def _refresh(self, command: Command) -> None:
        """A later end, by a new token for the same user."""
        assert self.identity is not None
        if not command.request["token"]:
            raise Ended(codes.BAD_REQUEST)
        try:
            identity = await identify(self.node, command.request["token"])
        except Refused as refused:
            raise (Ended(codes.EXPIRED) if not refused.error.temporary else refused) from None
        if identity.user != self.identity.user:
            raise Ended(codes.INVALID_TOKEN)
        self.renew(identity)
        result = {"client": self.id, "version": VERSION, **expiry_of(identity.expires_at)}
        self.session.send(self._reply(command.id, "refresh", result))

    async def _sub_refresh(self, command: Command) -> None:
        result = await self.subscriptions.renew(command.request)
        self.session.send(self._reply(command.id, "sub_refresh", result))

    async def _send(self, command: Command) -> None:
        """A message without an answer; there is nobody here it could be for."""
        log.info("message_ignored", client=self.id, user=self.user)

    async def _ping(self, command: Command) -> None:
        self.session.send(self._reply(command.id, "ping", {}))

    def _say_ping(self) -> None:
        self.session.send(self.format.frame(self.format.ping))

    def _lost(self, channel: str) -> None:
        self.subscriptions.lost(channel)


def _answered(work: Callable[[Client, Content], Awaitable[Content]]) -> Handler:
    """The handler of a command whose work gives the result of its answer."""

    async def answer(client: Client, command: Command) -> None:
        assert command.method is not None
        try:
            result = await work(client, command.request)
        except Exception as error:
            if not unavailable(error):
                raise
            raise Refused(codes.INTERNAL_ERROR) from error
        client.session.send(client._reply(command.id, command.method, result))

    return answer


Handler = Callable[[Client, Command], Awaitable[None]]

#: Commands that only ask and are answered.
BESIDE: Mapping[Method, Callable[[Client, Content], Awaitable[Content]]] = {
    "publish": channel_commands.publish,
    "history": channel_commands.history,
    "presence": channel_commands.presence,
    "presence_stats": channel_commands.presence_stats,
    "rpc": rpc.call,
}

#: What each command does.
HANDLERS: Mapping[Method, Handler] = {
    "connect": Client._connect,
    "subscribe": Client._subscribe,
    "unsubscribe": Client._unsubscribe,
    "refresh": Client._refresh,
    "sub_refresh": Client._sub_refresh,
    "send": Client._send,
    "ping": Client._ping,
    **{method: _answered(work) for method, work in BESIDE.items()},
}
