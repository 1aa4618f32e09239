"""What all Centrifuge clients of one hub node share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
from aiohttp import web

from hub import connections
from hub.centrifuge.clients import Clients
from hub.centrifuge.lifetime import grain
from hub.centrifuge.verifier import Verifier
from hub.centrifuge.wheel import Wheel
from hub.configuration import Configuration
from hub.control import CONTROL, Control, Counts
from hub.definitions import DEFINITIONS, Held
from hub.errors import Unavailable
from hub.fold import FOLD, Fold
from hub.keys import CONFIGURATION, NAMESPACES, POOL, SECRET, VIEWERS
from hub.namespaces import Namespaces
from hub.origins import Origins
from hub.presence import PRESENCE, Presence
from hub.publish import PUBLISHER, Publisher
from hub.sessions import SESSIONS, Sessions, dismiss
from hub.viewers import Viewers

if TYPE_CHECKING:
    from hub.centrifuge.client import Client


class Arrivals:
    """Connections that came within the second at hand."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0

    def more_than(self, limit: int) -> bool:
        """Count one more; whether it is one too many."""
        second = int(time.monotonic())
        self._count = self._count + 1 if second == self._second else 1
        self._second = second
        return self._count > limit


@dataclass(frozen=True, kw_only=True)
class Node:
    """One hub node."""

    configuration: Configuration
    origins: Origins
    namespaces: Namespaces
    verifier: Verifier
    secret: str
    fold: Fold
    publisher: Publisher
    viewers: Viewers
    sessions: Sessions
    clients: Clients
    pool: asyncpg.Pool
    definitions: Held
    control: Control
    presence: Presence
    wheel: Wheel
    #: Clients on streams, by the secret they name when they send commands beside it.
    sessions_by_id: dict[str, Client] = field(default_factory=dict)

    arrivals: Arrivals = field(default_factory=Arrivals)

    @contextmanager
    def emulated(self, client: Client) -> Iterator[None]:
        """Let commands reach a client on a stream."""
        self.sessions_by_id[client.session_id] = client
        try:
            yield
        finally:
            del self.sessions_by_id[client.session_id]

    @property
    def uid(self) -> str:
        """Tells nodes apart, and one start of a node from the next."""
        return self.control.node

    def counts(self) -> Counts:
        """What other nodes are told of this one."""
        users = {client.user for client in self.clients if client.user} | set(map(str, self.sessions.users))
        return Counts(
            clients=len({*self.sessions, *(client.session for client in self.clients)}),
            users=len(users),
            subs=sum(partition.listeners for partition in self.fold.partitions),
            channels=sum(partition.channels for partition in self.fold.partitions),
        )

    def admit(self) -> None:
        """Let one more connection in. Raises Unavailable beyond the limits of the node."""
        client = self.configuration.client
        if client.connection_limit and len(self.clients) >= client.connection_limit:
            connections.refused("connection_limit")
            raise Unavailable("This node has as many connections as it takes; try another.")
        if client.connection_rate_limit and self.arrivals.more_than(client.connection_rate_limit):
            connections.refused("connection_rate_limit")
            raise Unavailable("Too many come at once; try again.")


NODE = web.AppKey("node", Node)


async def keep(app: web.Application) -> AsyncIterator[None]:
    """The node of an application whose other parts are there."""
    configuration = app[CONFIGURATION]
    app[NODE] = Node(
        configuration=configuration,
        origins=Origins(configuration.client.allowed_origins),
        namespaces=app[NAMESPACES],
        verifier=Verifier(configuration.client, app[SECRET]),
        secret=app[SECRET],
        fold=app[FOLD],
        publisher=app[PUBLISHER],
        viewers=app[VIEWERS],
        sessions=app[SESSIONS],
        clients=Clients(),
        pool=app[POOL],
        definitions=app[DEFINITIONS],
        control=app[CONTROL],
        presence=app[PRESENCE],
        wheel=Wheel(grain(configuration.client)),
    )
    app[CONTROL].counts = app[NODE].counts
    yield


async def leave(app: web.Application) -> None:
    """Let all clients go (an `on_shutdown` handler)."""
    await dismiss(client.session for client in app[NODE].clients)
