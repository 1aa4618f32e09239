"""Numbers over a list are what counting the list by hand gives, for every viewer and filter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from models.access import Role
from tests.hub.rest import Caller, Rest


async def _all(caller: Caller, path: str, query: str) -> list[Any]:
    results: list[Any] = []
    url = f"/api/v1/{path}/?page_size=100{query}"
    while url:
        body = (await caller.get(url)).body
        results += body["results"]
        url = body["next"] and body["next"].removeprefix(caller.url)
    return results


def _count(records: list[Any], field: str, words: str) -> dict[str, int]:
    found = Counter(record[field] for record in records)
    return {word: found[word] for word in words.split()}


def _leads(records: list[Any], me: int) -> dict[str, Any]:
    return {
        "total": len(records),
        "by_status": _count(records, "status", "new contacted qualified unqualified converted lost"),
        "by_priority": _count(records, "priority", "low medium high urgent"),
        "assigned_to_me": sum(record["assigned_to"] == me for record in records),
        "high_score": sum(record["lead_score"] >= 75 for record in records),
    }


def _contacts(records: list[Any], me: int) -> dict[str, Any]:
    return {
        "total": len(records),
        "by_type": _count(records, "contact_type", "customer prospect vendor partner"),
        "by_status": dict(Counter(record["status"] for record in records)),
    }


def _pipeline(records: list[Any], me: int) -> dict[str, Any]:
    stages = "prospecting qualification proposal negotiation closed_won closed_lost"
    return {
        "total_value": pytest.approx(sum(float(record["amount"]) for record in records)),
        "total_weighted_value": pytest.approx(sum(float(record["weighted_amount"]) for record in records), abs=0.5),
        "by_stage": {
            stage: {
                "count": len(of := [record for record in records if record["stage"] == stage]),
                "total_value": pytest.approx(sum(float(record["amount"]) for record in of)),
                "weighted_value": pytest.approx(sum(float(record["weighted_amount"]) for record in of), abs=0.5),
            }
            for stage in stages.split()
        },
    }


def _tasks(records: list[Any], me: int) -> dict[str, Any]:
    return {
        "total": len(records),
        "by_status": _count(records, "status", "pending in_progress completed cancelled"),
        "assigned_to_me": sum(record["assigned_to"] == me for record in records),
        "overdue": sum(
            (record["due_date"] or "9") < "2026-06" and record["status"] in ("pending", "in_progress")
            for record in records
        ),
    }


async def _fill(rest: Rest, people: list[int]) -> None:
    dice = random.Random(4)
    for number in range(60):
        who = dice.choice([*people, None])
        mail = f"{number}@example.com"
        contact = await rest.pool.fetchval(
            """INSERT INTO crm_contacts (first_name, last_name, email, contact_type, status, assigned_to_id)
               VALUES ('a', 'b', $1, $2, $3, $4) RETURNING id""",
            mail, dice.choice(["customer", "vendor"]), dice.choice(["active", "asleep", ""]), who,
        )  # fmt: skip
        await rest.pool.execute(
            """INSERT INTO crm_leads (first_name, last_name, email, status, priority, lead_score, assigned_to_id)
               VALUES ('a', 'b', $1, $2, $3, $4, $5)""",
            mail, dice.choice(["new", "lost"]), dice.choice(["low", "urgent"]), dice.choice([10, 74, 75, 100]), who,
        )  # fmt: skip
        await rest.pool.execute(
            """INSERT INTO crm_opportunities
                   (name, contact_id, stage, probability, amount, expected_close_date, assigned_to_id)
               VALUES ('a', $1, $2, $3, $4::int / 100.0, '2026-12-31', $5)""",
            contact, dice.choice(["proposal", "closed_won"]), dice.choice([10, 25, 100]), dice.randrange(10**6), who,
        )  # fmt: skip
        await rest.pool.execute(
            """INSERT INTO crm_tasks (title, status, due_date, assigned_to_id)
               VALUES ('a', $1, make_timestamptz($2, 1, 1, 0, 0, 0, 'UTC'), $3)""",
            dice.choice(["pending", "completed"]), dice.choice([None, 2020, 2090]), who or people[0],
        )  # fmt: skip


NUMBERS: dict[str, tuple[str, Callable[[list[Any], int], dict[str, Any]], str]] = {
    "leads": ("statistics", _leads, "status=new"),
    "contacts": ("statistics", _contacts, "contact_type=vendor"),
    "opportunities": ("pipeline", _pipeline, "stage=proposal"),
    "tasks": ("statistics", _tasks, "status=pending"),
}


async def test_they_equal_the_list(rest: Rest) -> None:
    callers = [await rest.user(role) for role in (Role.ADMIN, Role.SALES_REP, Role.SALES_REP, Role.MARKETING)]
    await _fill(rest, [caller.id for caller in callers])
    for path, (name, oracle, filtered) in NUMBERS.items():
        for caller in callers:
            for query in ("", f"&{filtered}", f"&assigned_to={callers[1].id}"):
                got = await caller.get(f"/api/v1/{path}/{name}/?{query.removeprefix('&')}")
                assert got.body == oracle(await _all(caller, path, query), caller.id), (path, caller.id, query)
    mine = await callers[1].get("/api/v1/opportunities/pipeline/?assigned_to_me=true")
    assert mine.body["total_value"] > 0


async def test_of_nothing_they_are_nothing(rest: Rest) -> None:
    admin = await rest.user()
    for path, (name, oracle, _) in NUMBERS.items():
        answer = await admin.get(f"/api/v1/{path}/{name}")
        assert answer.body == oracle([], admin.id)
        for query in ("?colour=red", "?page=2", "?assigned_to=none"):
            assert (await admin.get(f"/api/v1/{path}/{name}/{query}")).status == 400
        assert (await rest.nobody.get(f"/api/v1/{path}/{name}/")).status == 401
