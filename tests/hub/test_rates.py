"""How many requests a node takes of one user and from one address."""

from __future__ import annotations

import pytest

from hub import rates
from hub.errors import TooMany
from hub.rates import Rate
from models.access import Role
from tests.hub.accounts import ME, sign_in
from tests.hub.rest import serve


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_holds_five_seconds_worth_and_fills_steadily() -> None:
    clock = Clock()
    rate = Rate(10, clock=clock)
    for _ in range(50):
        rate.take("ann")
    with pytest.raises(TooMany) as told:
        rate.take("ann")
    assert told.value.headers == {"Retry-After": "1"}
    rate.take("bob")
    clock.now += 0.31
    for _ in range(3):
        rate.take("ann")
    with pytest.raises(TooMany):
        rate.take("ann")
    clock.now += 1000
    for _ in range(50):
        rate.take("ann")
    with pytest.raises(TooMany):
        rate.take("ann")


def test_no_rate_is_no_limit() -> None:
    rate = Rate(0)
    for _ in range(1000):
        rate.take("ann")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST", 100)
    clock = Clock()
    rate = Rate(1, clock=clock)
    for number in range(1000):
        rate.take(number)
        assert len(rate._full) <= 100
    clock.now += 10
    for number in range(101):
        rate.take(number)
    assert len(rate._full) <= 101


async def test_requests_beyond_are_429(database: str) -> None:
    async with serve(database, user_rate=2, account_tries=0) as rest:
        ann, bob = await rest.user(Role.ADMIN), await rest.user(Role.VIEWER)
        statuses = [(await ann.get(ME)).status for _ in range(14)]
        assert statuses[:10] == [200] * 10
        assert 429 in statuses[10:]
        told = [answer for answer in [await ann.get(ME) for _ in range(3)] if answer.status == 429]
        assert (list(told[0].body), told[0].headers["Retry-After"]) == (["detail"], "1")
        assert (await bob.get(ME)).status == 200
        # An address is none of a user's, and nobody's requests count there.
        assert {(await sign_in(rest, "x")).status for _ in range(14)} == {400}
    async with serve(database, address_rate=2, account_tries=0) as rest:
        statuses = [(await sign_in(rest, "x")).status for _ in range(14)]
        assert statuses[:10] == [400] * 10
        assert 429 in statuses[10:]
        assert {(await rest.nobody.get("/health/live")).status for _ in range(20)} == {200}
