"""Rights that change while sockets are open: heard at once, found later if they were not heard."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from hub import rights
from hub.keys import VIEWERS
from models.access import Role
from models.rights import RIGHTS_CHANNEL
from settings import Settings
from tests.hub.cable import cable
from tests.hub.nodes import node, prepare

pytestmark = pytest.mark.one_broker


async def test_postgres_tells_of_changed_rights_and_of_nothing_else(here: Settings) -> None:
    users = await prepare(here)
    told: asyncio.Queue[int] = asyncio.Queue()
    listener, writer = await asyncpg.connect(here.database_url), await asyncpg.connect(here.database_url)
    await listener.add_listener(RIGHTS_CHANNEL, lambda *heard: told.put_nowait(int(heard[3])))
    await writer.execute("UPDATE crm_users SET first_name = 'Ada', role = role, is_active = is_active")
    await writer.execute("UPDATE crm_users SET role = 'viewer' WHERE role IN ('marketing', 'viewer')")
    await writer.execute("UPDATE crm_users SET is_active = false WHERE id = $1", users["sales_rep"])
    await writer.execute("DELETE FROM crm_users WHERE id = $1", users["customer_support"])
    async with asyncio.timeout(10):
        heard = [await told.get() for _ in range(3)]
    assert heard == [users["marketing"], users["sales_rep"], users["customer_support"]]
    assert told.empty()
    await listener.close()
    await writer.close()


async def test_what_was_not_heard_is_found_when_postgres_is_back(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "ROUND", 3600.0)
    users = await prepare(here)
    place = urlsplit(here.database_url)
    assert place.port is not None
    async with cable(place.port) as line:
        address = here.database_url.replace(f":{place.port}/", f":{line.port}/")
        async with (
            node(replace(here, database_url=address)) as hub,
            hub.socket("/ws/activity/", users["viewer"]) as viewer,
        ):
            await line.cut()
            outside = await asyncpg.connect(here.database_url)
            await outside.execute("UPDATE crm_users SET is_active = false WHERE id = $1", users["viewer"])
            await outside.close()
            await viewer.socket.send_json({"type": "ping"})
            assert (await viewer.next())["type"] == "pong"
            await line.mend()
            with pytest.raises(EOFError):
                await viewer.next()
            assert viewer.closed == (3503, "force disconnect")


async def test_who_connects_while_rights_change_is_looked_at_again(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "ROUND", 3600.0)
    monkeypatch.setattr(rights, "AGAIN", 0.3)
    users = await prepare(here)
    looked, go_on = asyncio.Event(), asyncio.Event()
    async with node(here) as hub:
        viewers = hub.app[VIEWERS]
        look_up = viewers._look_up

        async def slowly(user: int, sign_in: UUID | None) -> object:
            role = await look_up(user, sign_in)
            looked.set()
            await go_on.wait()
            return role

        viewers._look_up = slowly  # type: ignore[method-assign, assignment]
        learn, learnt = viewers.learn, asyncio.Event()

        def learn_and_tell(user: int, role: Role | None) -> None:
            learn(user, role)
            learnt.set()

        connecting = asyncio.create_task(hub.http.ws_connect(
            f"{hub.url}/ws/activity/", headers=hub.signed(users["viewer"])
        ))  # fmt: skip
        await looked.wait()
        viewers.learn = learn_and_tell  # type: ignore[method-assign, assignment]
        outside = await asyncpg.connect(here.database_url)
        await outside.execute("UPDATE crm_users SET is_active = false WHERE id = $1", users["viewer"])
        await outside.close()
        await learnt.wait()
        go_on.set()
        async with asyncio.timeout(20):
            socket = await connecting
            while not (await socket.receive()).type.name.startswith("CLOS"):
                pass
            assert socket.close_code == 3503
