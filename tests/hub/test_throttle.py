"""Guessing is slowed down: for an account, from an address, on all nodes."""

from __future__ import annotations

import asyncio

import pytest

from models import throttles
from tests.hub.accounts import LOGIN, PASSWORD, person, sign_in
from tests.hub.rest import Rest, serve


async def test_an_account_is_locked_for_longer_each_time(rest: Rest) -> None:
    await person(rest, "ann")
    assert [(await sign_in(rest, "ann", f"wrong {n}")).status for n in range(6)] == [400] * 5 + [429]
    locked = await sign_in(rest, "ann")
    assert (locked.status, list(locked.body)) == (429, ["detail"]), "the right one has to wait, too"
    assert 0 < int(locked.headers["Retry-After"]) <= 10
    waits = []
    for _ in range(8):
        await rest.pool.execute("UPDATE throttles SET locked_until = now()")
        assert (await sign_in(rest, "ann", "wrong")).status == 400
        waits.append(int((await sign_in(rest, "ann", "wrong")).headers["Retry-After"]))
    assert waits == [20, 40, 80, 160, 320, 640, 900, 900]
    await rest.pool.execute("UPDATE throttles SET locked_until = now()")
    assert (await sign_in(rest, "ann")).status == 200
    assert [(await sign_in(rest, "ann", "wrong")).status for n in range(5)] == [400] * 5, "all is forgiven"


async def test_nobody_is_locked_like_somebody(rest: Rest) -> None:
    await person(rest, "ann")
    for name in ("ann", "nobody"):
        answers = [await sign_in(rest, name, "a wrong one") for _ in range(6)]
        assert [answer.status for answer in answers] == [400] * 5 + [429]
        assert answers[-1].headers["Retry-After"] == "10"
    keys = await rest.pool.fetch("SELECT key FROM throttles")
    assert not any("ann" in row["key"] or "nobody" in row["key"] for row in keys)


async def test_many_at_a_time_do_not_slip_past(rest: Rest) -> None:
    await person(rest, "ann")
    answers = await asyncio.gather(*(sign_in(rest, "ann", f"wrong {n}") for n in range(30)))
    assert sorted(answer.status for answer in answers) == [400] * 5 + [429] * 25


async def test_an_address_is_counted_over_all_names_and_nodes(database: str) -> None:
    async with serve(database, address_tries=8) as one, serve(database, address_tries=8) as other:
        await person(one, "ann")
        for n in range(4):
            assert (await sign_in(one, f"name {n}")).status == 400
            assert (await sign_in(one, "ann")).status == 200, "what is right does not count"
            assert (await sign_in(other, f"other {n}")).status == 400
        assert (await sign_in(one, "ann")).status == 429
        assert (await sign_in(other, "name 0")).status == 429
        tries = await one.pool.fetch("SELECT tries FROM throttles WHERE key NOT LIKE '%address%' ORDER BY key")
        assert all(row["tries"] <= 1 for row in tries), "what was not tried is not counted"


async def test_whom_a_proxy_forwards_for_is_counted_if_it_is_trusted(database: str) -> None:
    async def tries(rest: Rest, *forwarded: str) -> list[int]:
        body = {"username": "nobody", "password": PASSWORD}
        answers = [await rest.nobody.post(LOGIN, body, headers={"X-Forwarded-For": one}) for one in forwarded]
        return [answer.status for answer in answers]

    given = {"address_tries": 2, "account_tries": 0}
    async with serve(database, **given) as rest:
        assert await tries(rest, "192.0.2.1", "192.0.2.2", "192.0.2.3") == [400, 400, 429]
    async with serve(database, **given, trusted_proxies="127.0.0.0/8, ::1") as rest:
        assert await tries(rest, "192.0.2.1", "192.0.2.2", "192.0.2.3") == [400, 400, 400]
        # What the client itself claims stands to the left and counts for nothing.
        assert await tries(rest, "10.9.9.9, 192.0.2.1", "10.8.8.8, 192.0.2.1") == [400, 429]
        address = await rest.pool.fetchval("SELECT host(ip_address) FROM crm_account_actions ORDER BY id DESC LIMIT 1")
        assert address == "192.0.2.1"


async def test_no_limit_is_none(database: str) -> None:
    async with serve(database, account_tries=0, address_tries=0) as rest:
        assert {(await sign_in(rest, "ann", "wrong")).status for _ in range(12)} == {400}
        assert await rest.pool.fetchval("SELECT count(*) FROM throttles") == 0


@pytest.mark.parametrize("free", [1, 3])
async def test_tries_are_forgotten_after_an_hour(rest: Rest, free: int) -> None:
    for _ in range(free):
        assert await throttles.take(rest.pool, "key", free) == 0
    assert await throttles.take(rest.pool, "key", free) == throttles.FIRST
    await rest.pool.execute("UPDATE throttles SET locked_until = now(), last_at = now() - interval '61 minutes'")
    for _ in range(free):
        assert await throttles.take(rest.pool, "key", free) == 0
    assert await throttles.take(rest.pool, "key", free) == throttles.FIRST
