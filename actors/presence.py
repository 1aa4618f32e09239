"""Who is present, on which node: clients, nodes, and what nodes say of them to each other.

Every node owns the presence of its clients and tells the others, in records that it numbers 1, 2, 3 … `actors.roster`
makes of them what each node knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: A client in a channel.
Place = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientInfo:
    """A client in a channel, as others are shown it. The infos are bytes of the client's token, JSON or not."""

    user: str
    client: str
    conn_info: bytes | None = None
    chan_info: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeInfo:
    """A living node, as its last heartbeat told."""

    #: One for each start of a node.
    uid: str
    name: str
    version: str
    #: Unix time.
    started: float
    num_clients: int = 0
    #: Distinct users among them.
    num_users: int = 0
    num_subs: int = 0
    #: Channels that somebody listens to there.
    num_channels: int = 0
    #: Per cent of one core, since the heartbeat before.
    cpu: float = 0.0
    #: Bytes.
    rss: int = 0


class Change(NamedTuple):
    """A client has come to a channel, or gone."""

    joined: bool
    channel: str
    info: ClientInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """Something a node said under its number `n`. One that tells nothing of presence is a sign of life all the same."""

    node: str
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Alive(Said):
    """How the node is."""

    info: NodeInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved(Said):
    """Who has come and gone there, in order."""

    changes: Sequence[Change]


@dataclass(frozen=True, kw_only=True, slots=True)
class Present(Said):
    """A part of all that are present there, in as many records as it takes."""

    first: bool
    last: bool
    clients: Sequence[tuple[str, ClientInfo]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Goodbye(Said):
    """The node stops."""
