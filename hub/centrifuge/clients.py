"""The clients connected to this node: by id, by user and by channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.centrifuge.client import Client


class Clients:
    """Everybody whose connect command was accepted."""

    def __init__(self) -> None:
        self._by_id: dict[str, Client] = {}
        self._by_user: dict[str, dict[str, Client]] = {}
        #: By channel, then by client id.
        self._listening: dict[str, dict[str, Client]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._by_id.values()))

    def get(self, id: str) -> Client | None:
        """The client with this id."""
        return self._by_id.get(id)

    def of_user(self, user: str) -> list[Client]:
        """The clients of one user; an empty user's are everybody's who is nobody."""
        return list(self._by_user.get(user, {}).values())

    def on(self, channel: str) -> list[Client]:
        """The clients subscribed to a channel."""
        return list(self._listening.get(channel, {}).values())

    @property
    def users(self) -> int:
        """Different users."""
        return len(self._by_user)

    @property
    def subscriptions(self) -> int:
        """Subscriptions of all clients."""
        return sum(map(len, self._listening.values()))

    def channels(self) -> Mapping[str, int]:
        """How many clients each channel has that has any."""
        return {channel: len(clients) for channel, clients in self._listening.items()}

    def by_user(self) -> Mapping[str, int]:
        """How many clients each user has who has any; of nobody known there is no word."""
        return {user: len(clients) for user, clients in self._by_user.items() if user}

    def enter(self, client: Client) -> None:
        """A client has connected."""
        self._by_id[client.id] = client
        self._by_user.setdefault(client.user, {})[client.id] = client

    def leave(self, client: Client) -> None:
        """A client has gone, if it was here."""
        if self._by_id.pop(client.id, None) is None:
            return
        _drop(self._by_user, client.user, client.id)

    def subscribed(self, channel: str, client: Client) -> None:
        """A client listens to a channel."""
        self._listening.setdefault(channel, {})[client.id] = client

    def unsubscribed(self, channel: str, client: Client) -> None:
        """A client does not listen to a channel any more."""
        _drop(self._listening, channel, client.id)


def _drop(index: dict[str, dict[str, Client]], key: str, id: str) -> None:
    del index[key][id]
    if not index[key]:
        del index[key]
