"""Listening and reading from a time on, with clients that know nothing of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from centrifuge import StreamPosition

from hub.centrifuge import codes
from hub.centrifuge.moments import BY_TIME, LATEST, moment
from settings import Settings
from tests.hub.centrifuge.clients import Told, configured, connection_token, official, raw
from tests.hub.nodes import Node, prepare

#: More than the answer of a recovery may hold, and than the namespace keeps.
MANY = 400


async def say(hub: Node, user: int, first: int, last: int) -> int:
    """Publish numbers; a moment after the last and before whatever follows, in Unix milliseconds."""
    await asyncio.gather(*(hub.publish(user, "chat:1", n) for n in range(first, last + 1)))
    after = int(time.time() * 1000) + 1
    while time.time() * 1000 < after + 1:
        await asyncio.sleep(0.001)
    return after


async def test_a_client_listens_from_a_time_on_however_much_was_said_since(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    async with configured(settings, tmp_path) as hub, official(hub, connection_token()) as client:
        between = await say(hub, users["admin"], 1, 20)
        await say(hub, users["admin"], 21, MANY)
        told = Told()
        subscription = client.new_subscription("chat:1", events=told, data={"since": {"time": between}})
        await subscription.subscribe()
        await told.until(lambda: len(told.publications) == MANY - 20)
        assert [offset for offset, _ in told.publications] == list(range(21, MANY + 1))
        assert sorted(data for _, data in told.publications) == list(range(21, MANY + 1))
        assert (told.subscribed[0].was_recovering, told.subscribed[0].recovered) == (True, True)
        await hub.publish(users["admin"], "chat:1", "live")
        await told.until(lambda: told.publications[-1] == (MANY + 1, "live"))
        found = await subscription.history(limit=3, since=StreamPosition(offset=between, epoch=BY_TIME))
        assert [publication.offset for publication in found.publications] == [21, 22, 23]


@pytest.mark.one_broker
async def test_what_cannot_be_begun_at_a_time(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        await hub.publish(users["admin"], "chat:1", "before")
        await client.connected(connection_token())
        for at, data in enumerate(({"since": {"time": "soon"}}, {"since": {"time": -1}}, {"since": {"time": None}}), 2):
            refused = await client.ask(at, subscribe={"channel": "chat:1", "data": data})
            assert refused["error"]["code"] == codes.BAD_ARGUMENTS.code
        # Other data is none of our business, and a place the client knows counts more than a time.
        other = await client.ask(5, subscribe={"channel": "chat:1", "data": {"since": "forever", "a": [1]}})
        assert other["subscribe"]["offset"] == 1
        assert "was_recovering" not in other["subscribe"]
        await client.ask(6, unsubscribe={"channel": "chat:1"})
        place = {"recover": True, "offset": 1, "epoch": other["subscribe"]["epoch"]}
        again = await client.ask(7, subscribe={"channel": "chat:1", "data": {"since": {"time": 1}}, **place})
        assert again["subscribe"]["recovered"]
        assert "publications" not in again["subscribe"]
        since = {"epoch": BY_TIME, "offset": 1}
        for more in ({"since": since, "reverse": True}, {"since": {**since, "offset": LATEST + 1}}):
            refused = await client.ask(8, history={"channel": "chat:1", "limit": 1, **more})
            assert refused["error"]["code"] == codes.BAD_ARGUMENTS.code


@pytest.mark.parametrize(
    ("given", "milliseconds"),
    [
        (0, 0),
        (LATEST, LATEST),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:00.5+01:00", 500),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_times(given: Any, milliseconds: int) -> None:
    assert moment(given) == milliseconds


@pytest.mark.parametrize("given", [-1, LATEST + 1, True, 1.5, None, "", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z"])
def test_no_times(given: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        moment(given)
