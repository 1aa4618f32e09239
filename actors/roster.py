"""The roster: what one node knows of the clients of all.

It hears what nodes say of theirs, and knows by the numbers when something was lost; then the node is asked to say all
again. While it does, in parts, what was known before stays until the last part has come, and only what it did not
mention is gone then. A node that says goodbye, or has not been heard for too long, takes its clients with it.

Nothing is dropped while this node itself hears nothing, not even its own words: then it is the log that is away.

All times are seconds of one clock that never goes back, given by the caller.
"""

from __future__ import annotations

from collections.abc import Iterator

from actors.presence import Alive, Change, ClientInfo, Goodbye, Moved, NodeInfo, Place, Present, Said

#: Seconds between two requests to the same node to say all again.
ASK_AGAIN = 1.0


class _Peer:
    """What is known of another node."""

    __slots__ = ("asked", "complete", "info", "n", "places", "seen", "unconfirmed")

    def __init__(self, n: int, now: float) -> None:
        self.info: NodeInfo | None = None
        self.n = n
        self.seen = now
        #: Whether all of its clients are known.
        self.complete = False
        #: When it was last asked to say all. One just met does so unasked if we have just come.
        self.asked = now
        self.places: dict[Place, None] = {}
        #: While it says all: what was known before and it has not mentioned yet.
        self.unconfirmed: dict[Place, None] | None = None


class Roster:
    """Who is present, as one node knows."""

    def __init__(self, own: str, *, lost_after: float) -> None:
        """`own` is this node's uid; `lost_after` seconds of silence a node is given up, and half of that without a
        word of our own means that we are deaf.
        """
        self._own = own
        self._lost_after = lost_after
        self._heard_own: float | None = None
        self._peers: dict[str, _Peer] = {}
        #: Client's info and node, by channel and client.
        self._channels: dict[str, dict[str, tuple[ClientInfo, str]]] = {}
        self._places = 0

    def __len__(self) -> int:
        """Clients in channels, each channel counted."""
        return self._places

    # What is known.

    def of(self, channel: str) -> dict[str, ClientInfo]:
        """Who is present in a channel, by client."""
        return {client: info for client, (info, _) in self._channels.get(channel, {}).items()}

    def stats(self, channel: str) -> tuple[int, int]:
        """Clients and distinct users of a channel."""
        clients = self._channels.get(channel, {})
        return len(clients), len({info.user for info, _ in clients.values()})

    def own(self) -> list[Place]:
        """This node's own clients, in their channels."""
        return [
            (channel, client)
            for channel, clients in self._channels.items()
            for client, (_, node) in clients.items()
            if node == self._own
        ]

    def own_info(self, place: Place) -> ClientInfo | None:
        """The info of a client of this node; None if it is not there any more."""
        info, node = self._channels.get(place[0], {}).get(place[1], (None, ""))
        return info if node == self._own else None

    def living(self) -> frozenset[str]:
        """The other nodes."""
        return frozenset(self._peers)

    def nodes(self) -> dict[str, NodeInfo]:
        """The other nodes that have told how they are."""
        return {node: peer.info for node, peer in self._peers.items() if peer.info is not None}

    @property
    def complete(self) -> bool:
        """Whether all clients of all nodes heard so far are known."""
        return all(peer.complete for peer in self._peers.values())

    # This node's own clients.

    def enter(self, channel: str, info: ClientInfo) -> bool:
        """A client of this node is in a channel; False if it was there before."""
        return self._put(self._own, channel, info)

    def leave(self, channel: str, client: str) -> ClientInfo | None:
        """A client of this node has left; None if it was not there."""
        return self._take(self._own, (channel, client))

    # What nodes say.

    def repeats(self, said: Said) -> bool:
        """Whether this was heard before: a producer may send a record twice."""
        peer = self._peers.get(said.node)
        return peer is not None and said.n <= peer.n

    def hear(self, said: Said, now: float) -> list[Change]:
        """Take in what a node said, in the order it was said, and return who has come and gone by that."""
        if said.node == self._own:
            self._hear_own(now)
            return []
        peer = self._peers.get(said.node)
        if isinstance(said, Goodbye):
            return [] if peer is None else self._drop(said.node)
        if peer is None:
            peer = self._peers[said.node] = _Peer(said.n, now)
        elif said.n <= peer.n:
            return []
        elif said.n > peer.n + 1:
            peer.complete, peer.unconfirmed, peer.asked = False, None, now - ASK_AGAIN
        peer.n, peer.seen = said.n, now
        match said:
            case Alive():
                peer.info = said.info
            case Moved():
                return list(self._move(peer, said))
            case Present():
                return list(self._confirm(peer, said))
        return []

    def expire(self, now: float) -> list[Change]:
        """Give up the nodes that have been silent for too long, and return who is gone with them."""
        if self._deaf(now):
            return []
        lost = [node for node, peer in self._peers.items() if now - peer.seen > self._lost_after]
        return [change for node in lost for change in self._drop(node)]

    def unsure(self, now: float) -> list[str]:
        """Nodes to be asked now to say all again: something of theirs was lost."""
        due = [
            node
            for node, peer in self._peers.items()
            if not peer.complete and peer.unconfirmed is None and now - peer.asked >= ASK_AGAIN
        ]
        for node in due:
            self._peers[node].asked = now
        return due

    def _hear_own(self, now: float) -> None:
        if self._deaf(now):
            for peer in self._peers.values():
                peer.seen = now
        self._heard_own = now

    def _deaf(self, now: float) -> bool:
        return self._heard_own is None or now - self._heard_own > self._lost_after / 2

    def _move(self, peer: _Peer, said: Moved) -> Iterator[Change]:
        for change in said.changes:
            place = change.channel, change.info.client
            if change.joined:
                if self._put(said.node, change.channel, change.info):
                    yield change
            elif (gone := self._take(said.node, place)) is not None:
                yield Change(False, change.channel, gone)

    def _confirm(self, peer: _Peer, said: Present) -> Iterator[Change]:
        if said.first:
            peer.unconfirmed = dict(peer.places)
        if peer.unconfirmed is None:  # a part was lost; it will be asked again
            return
        for channel, info in said.clients:
            if self._put(said.node, channel, info):
                yield Change(True, channel, info)
        if said.last:
            for place in list(peer.unconfirmed):
                if (gone := self._take(said.node, place)) is not None:
                    yield Change(False, place[0], gone)
            peer.unconfirmed, peer.complete = None, True

    def _drop(self, node: str) -> list[Change]:
        gone = [(place[0], self._take(node, place)) for place in list(self._peers[node].places)]
        del self._peers[node]
        return [Change(False, channel, info) for channel, info in gone if info is not None]

    def _put(self, node: str, channel: str, info: ClientInfo) -> bool:
        """Whether the client was not there before."""
        clients = self._channels.setdefault(channel, {})
        place = channel, info.client
        before = clients.get(info.client)
        if before is None:
            self._places += 1
        elif before[1] != node and (other := self._peers.get(before[1])) is not None:
            self._forget(other, place)
        clients[info.client] = info, node
        if (peer := self._peers.get(node)) is not None:
            peer.places[place] = None
            if peer.unconfirmed is not None:
                peer.unconfirmed.pop(place, None)
        return before is None

    def _take(self, node: str, place: Place) -> ClientInfo | None:
        """The client that was there and has gone; None if it was not there, or is another node's by now."""
        channel, client = place
        clients = self._channels.get(channel, {})
        info, owner = clients.get(client, (None, ""))
        if owner != node:
            return None
        del clients[client]
        self._places -= 1
        if not clients:
            del self._channels[channel]
        if (peer := self._peers.get(node)) is not None:
            self._forget(peer, place)
        return info

    @staticmethod
    def _forget(peer: _Peer, place: Place) -> None:
        peer.places.pop(place, None)
        if peer.unconfirmed is not None:
            peer.unconfirmed.pop(place, None)
