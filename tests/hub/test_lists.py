"""Lists by REST: cursors while others write, what nobody may learn from them, and how many queries they take."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from models.access import Role
from tests.hub.rest import CONTACT, LEAD, Caller, Rest

LEADS, DEALS = "/api/v1/leads/", "/api/v1/opportunities/"
DEAL = {"name": "Deal", "amount": "1200.10", "expected_close_date": "2026-12-31"}


async def ids(caller: Caller, path: str, **query: Any) -> list[int]:
    """The ids in a list, in its order."""
    answer = await caller.get(path, params={"page_size": 100, **query})
    assert answer.status == 200, answer.body
    return [row["id"] for row in answer.body["results"]]


async def made(caller: Caller, path: str, *bodies: Mapping[str, Any]) -> list[int]:
    answers = [await caller.post(path, body) for body in bodies]
    return [answer.body["id"] for answer in answers]


async def test_cursors_lead_on_and_back(rest: Rest) -> None:
    admin = await rest.user()
    await made(admin, LEADS, *({**LEAD, "lead_score": score % 3} for score in range(8)))
    whole = await ids(admin, LEADS, ordering="-lead_score")
    parts, path = [], f"{LEADS}?ordering=-lead_score&page_size=3&cursor="
    while path:
        answer = (await admin.get(path)).body
        assert answer["count"] is None
        parts.append([row["id"] for row in answer["results"]])
        path = (answer["next"] or "").removeprefix(rest.url)
    assert parts == [whole[:3], whole[3:6], whole[6:]]
    path = answer["previous"]
    for expected in (whole[3:6], whole[:3]):
        answer = (await admin.get(path.removeprefix(rest.url))).body
        assert [row["id"] for row in answer["results"]] == expected
        path = answer["previous"]
    assert path is None
    assert (await admin.get(answer["next"].removeprefix(rest.url))).body["results"][0]["id"] == whole[3]
    cursor = answer["next"].partition("cursor=")[2]
    refused = await admin.get(f"{LEADS}?ordering=lead_score&cursor={cursor}")
    assert (refused.status, list(refused.body)) == (400, ["cursor"])


@pytest.mark.parametrize("ordering", ["-created_at", "estimated_value,-lead_score", "-estimated_value"])
async def test_whoever_stays_is_met_once_while_others_come_and_go(rest: Rest, ordering: str) -> None:
    admin = await rest.user()
    chance = random.Random(11)

    def body() -> dict[str, Any]:
        value = chance.choice([None, "1.00", "2.00", "3.00"])
        return {**LEAD, "lead_score": chance.randint(0, 3), "estimated_value": value}

    there = await made(admin, LEADS, *(body() for _ in range(40)))
    staying, moving = there[::2], there[1::2]

    async def others() -> None:
        for key in moving:
            if chance.random() < 0.5:
                await admin.delete(f"{LEADS}{key}/")
            else:
                await admin.patch(f"{LEADS}{key}/", body())
            await admin.post(LEADS, body())

    writing = asyncio.ensure_future(others())
    while not writing.done():
        met: list[int] = []
        path = f"{LEADS}?ordering={ordering}&page_size=7&cursor="
        while path:
            answer = (await admin.get(path)).body
            met.extend(row["id"] for row in answer["results"])
            path = (answer["next"] or "").removeprefix(rest.url)
        assert sorted(key for key in met if key in staying) == staying
    await writing


async def test_nothing_can_be_learnt_of_what_one_may_not_see(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    hidden = {**CONTACT, "assigned_to": admin.id}
    first, second = await made(
        admin,
        "/api/v1/contacts/",
        {**hidden, "company_name": "Acme", "first_name": "Zoe"},
        {**hidden, "company_name": "Zenith", "first_name": "Abe", "email": "b@x.com", "assigned_to": None},
    )
    deals = await made(
        admin, DEALS, *({**DEAL, "contact": key, "assigned_to": rep.id} for key in (first, second, first))
    )
    await admin.patch(f"/api/v1/contacts/{second}/", {"assigned_to": rep.id})
    seen, blind = deals[1:2], [deals[0], deals[2]]
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"contact__company_name": "Acme"}, []),
        ({"contact__company_name": "Zenith"}, seen),
        ({"contact__company_name__startswith": ""}, seen),
        ({"contact__company_name__isnull": "true"}, blind),
        ({"contact__company_name__ne": "Acme"}, deals),
        ({"contact__company_name__ne": "Zenith"}, blind),
        ({"contact__assigned_to": rep.id}, seen),
        ({"contact__assigned_to__username__isnull": "true"}, blind),
        ({"filter": '{"not":{"contact__company_name":"Acme"}}'}, deals),
        ({"search": "zoe"}, []),
        ({"search": "abe"}, seen),
        ({"search": "zoe", "ordering": "id"}, []),
        ({"search": "abe", "ordering": "id"}, seen),
        # Emails of contacts are no part of what a deal is searched by.
        ({"search": "b@x.com"}, []),
    ]
    for query, expected in cases:
        assert sorted(await ids(rep, DEALS, **query)) == expected, query
    # Where the company is hidden it orders as if there were none.
    assert await ids(rep, DEALS, ordering="contact__company_name") == [*seen, *blind]
    refused = await rep.get(DEALS, params={"contact": first})
    missing = await rep.get(DEALS, params={"contact": 999})
    assert refused.status == missing.status == 400
    assert refused.body["contact"][0].replace(str(first), "?") == missing.body["contact"][0].replace("999", "?")
    assert await ids(rep, DEALS, contact=second) == seen


@pytest.mark.parametrize("path", ["owner__role", "owner__password", "owner__last_login__isnull", "owner__two_factor"])
async def test_of_users_only_what_is_shown_can_be_asked(rest: Rest, path: str) -> None:
    admin = await rest.user()
    assert (await admin.get(LEADS, params={path: "true"})).status == 400
    assert (await admin.get(LEADS, params={"ordering": path})).status == 400


QUERIES: list[dict[str, str]] = [
    {},
    {"count": "none"},
    {"count": "estimate", "page_size": "2"},
    {"cursor": "", "ordering": "-lead_score"},
    {"search": "ida", "page_size": "2"},
    {"search": "ida", "ordering": "-created_at"},
    {"owner": "1", "assigned_to__in": "1", "filter": '{"or":[{"owner":1},{"status":"new"}]}', "page_size": "2"},
]


async def test_the_number_of_queries_does_not_grow_with_the_list(rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
    admin = await rest.user()
    caplog.set_level(logging.DEBUG, logger="tortoise.db_client")

    async def counted() -> list[int]:
        counts = []
        for query in QUERIES:
            caplog.clear()
            assert (await admin.get(LEADS, params=query)).status == 200
            counts.append(sum(record.name == "tortoise.db_client" for record in caplog.records))
        return counts

    await made(admin, LEADS, *([{**LEAD, "assigned_to": admin.id}] * 3))
    few = await counted()
    await made(admin, LEADS, *([{**LEAD, "assigned_to": admin.id}] * 30))
    assert [now <= then + 1 for now, then in zip(await counted(), few, strict=True)] == [True] * len(QUERIES)
    assert max(few) <= 3


async def test_lists_are_counted_as_asked(rest: Rest) -> None:
    admin = await rest.user()
    await made(admin, LEADS, *([LEAD] * 5))
    for query, count in [
        ({"page_size": 2}, 5),
        ({"page_size": 2, "count": "exact", "cursor": ""}, 5),
        ({"page_size": 2, "count": "none"}, None),
        ({"page_size": 2, "search": "ida"}, 5),
        ({"count": "estimate"}, 5),
        ({"page_size": 2, "page": 3}, 5),
        ({"page_size": 2, "page": 3, "count": "none"}, None),
    ]:
        assert (await admin.get(LEADS, params=query)).body["count"] == count, query
    last = (await admin.get(LEADS, params={"page_size": 2, "page": 3, "count": "none"})).body
    assert (last["next"], len(last["results"])) == (None, 1)
    estimate = (await admin.get(LEADS, params={"page_size": 2, "count": "estimate"})).body
    assert estimate["count"] >= 3
    assert estimate["next"]


async def test_what_is_called_so_comes_first(rest: Rest) -> None:
    admin = await rest.user()
    plain = {**LEAD, "email": "x@y.com"}
    mail, begins, whole, newer = await made(
        admin,
        LEADS,
        {**plain, "email": "smith@acme.com", "phone": "+1 (555) 010-1234"},
        {**plain, "last_name": "Smithson"},
        {**plain, "last_name": "Smith", "company_name": "Straße 7"},
        {**plain, "last_name": "SMÍTH"},
    )
    assert await ids(admin, LEADS, search="smith") == [newer, whole, begins, mail]
    assert await ids(admin, LEADS, search="ida smith", page_size=2) == [newer, whole]
    for words, found in [
        ("smith acme", [mail]),
        ("acme.com", [mail]),
        ("smith@acme.com", [mail]),
        ("555", [mail]),
        ("5550101", [mail]),
        ("(555) 010-1234", [mail]),
        ("101234", [mail]),
        ("strasse", [whole]),
        ("STRAßE", [whole]),
        ("cme", []),
        (" ", [newer, whole, begins, mail]),
    ]:
        assert await ids(admin, LEADS, search=words) == found, words
    await admin.patch(f"{LEADS}{mail}/", {"email": "jones@acme.com"})
    await admin.delete(f"{LEADS}{whole}/")
    assert await ids(admin, LEADS, search="smith") == [newer, begins]
    assert await ids(admin, LEADS, search="jones") == [mail]


async def test_names_with_commas_stand_in_quotes(rest: Rest) -> None:
    admin = await rest.user()
    names = ("Acme, Inc", 'The "Best"', "Plain")
    keys = await made(admin, LEADS, *({**LEAD, "company_name": name} for name in names))
    assert await ids(admin, LEADS, ordering="id", company_name__in='"Acme, Inc",Plain') == [keys[0], keys[2]]
    assert await ids(admin, LEADS, company_name__in='"The ""Best"""') == [keys[1]]
    tree = orjson.dumps({"company_name__in": ["Acme, Inc", 'The "Best"']}).decode()
    assert await ids(admin, LEADS, ordering="id", filter=tree) == keys[:2]
    assert (await admin.get(LEADS, params={"company_name__in": '"Acme'})).status == 400


async def test_one_request_asks_for_so_much_only(rest: Rest) -> None:
    admin = await rest.user()
    deep: Any = {"status": "new"}
    for _ in range(10):
        deep = {"not": deep}
    trees: list[Any] = [deep, {"or": [{"status": "new"}] * 60}, {"lead_score__in": list(range(101))}, {"or": []}]
    for tree in trees:
        refused = await admin.get(LEADS, params={"filter": orjson.dumps(tree).decode()})
        assert (refused.status, list(refused.body)) == (400, ["filter"]), tree
    assert (await admin.get(LEADS, params={"search": "x" * 600})).status == 400
