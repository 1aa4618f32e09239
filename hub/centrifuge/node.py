"""What all Centrifuge clients of one hub node share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
from aiohttp import web

from hub.centrifuge.clients import Clients
from hub.centrifuge.verifier import Verifier
from hub.configuration import Configuration
from hub.errors import Unavailable
from hub.fold import FOLD, Fold
from hub.keys import CONFIGURATION, POOL, SECRET, VIEWERS
from hub.namespaces import Namespaces
from hub.origins import Origins
from hub.publish import PUBLISHER, Publisher
from hub.sessions import SESSIONS, Sessions, dismiss
from hub.viewers import Viewers

if TYPE_CHECKING:
    from hub.centrifuge.client import Client

#: Told to clients.
VERSION = "0.1.0"


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
    uid: str
    #: Clients on streams, by the secret they name when they send commands beside it.
    sessions_by_id: dict[str, Client] = field(default_factory=dict)

    @contextmanager
    def emulated(self, client: Client) -> Iterator[None]:
        """Let commands reach a client on a stream."""
        self.sessions_by_id[client.session_id] = client
        try:
            yield
        finally:
            del self.sessions_by_id[client.session_id]

    def admit(self) -> None:
        """Let one more connection in. Raises Unavailable beyond the limit of the node."""
        limit = self.configuration.client.connection_limit
        if limit and len(self.clients) >= limit:
            raise Unavailable("This node has as many connections as it takes; try another.")


NODE = web.AppKey("node", Node)


async def keep(app: web.Application) -> AsyncIterator[None]:
    """The node of an application whose other parts are there."""
    configuration = app[CONFIGURATION]
    app[NODE] = Node(
        configuration=configuration,
        origins=Origins(configuration.client.allowed_origins),
        namespaces=Namespaces(configuration.channel),
        verifier=Verifier(configuration.client, app[SECRET]),
        secret=app[SECRET],
        fold=app[FOLD],
        publisher=app[PUBLISHER],
        viewers=app[VIEWERS],
        sessions=app[SESSIONS],
        clients=Clients(),
        pool=app[POOL],
        uid=str(uuid4()),
    )
    yield


async def leave(app: web.Application) -> None:
    """Let all clients go (an `on_shutdown` handler)."""
    await dismiss(client.session for client in app[NODE].clients)
