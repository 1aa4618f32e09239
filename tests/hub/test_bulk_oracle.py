"""A change of many is what the single changes would have been: twins of the same records, one way and the other."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from models.access import Role
from tests.examples import examples
from tests.hub.rest import CONTACT, Answer, Caller, Rest

#: Records of one comparison.
COUNT = 12

COLUMNS: dict[str, tuple[str, dict[str, Any], str]] = {
    "leads": ("crm_leads", {"first_name": "a", "last_name": "b", "email": "c@example.com"}, "owner_id"),
    "contacts": ("crm_contacts", {"first_name": "a", "last_name": "b"}, "created_by_id"),
    "opportunities": ("crm_opportunities", {"name": "a", "amount": 5}, "owner_id"),
    "tasks": ("crm_tasks", {"title": "a"}, "created_by_id"),
}

FREE = "UPDATE crm_contacts SET email = id || '@x' WHERE email = 'taken@example.com'"


def _data(path: str, dice: random.Random, people: list[int], contacts: list[int]) -> dict[str, Any]:
    """Some fields to change; a user or contact in it may not be there for the caller, or at all."""
    someone: Any = dice.choice([*people, *([None] if path != "tasks" else []), 10**9])
    own: dict[str, dict[str, Any]] = {
        "leads": {"status": dice.choice(["new", "lost", "converted"]), "tags": dice.choice([[], ["x"]])},
        "contacts": {"city": dice.choice(["", "Ulm"]), "email": "taken@example.com"},
        "opportunities": {"stage": dice.choice(["prospecting", "closed_won"]), "contact": dice.choice(contacts)},
        "tasks": {"status": dice.choice(["pending", "completed"]), "due_date": None},
    }
    fields = {"assigned_to": someone, **own[path]}
    return dict(dice.sample(sorted(fields.items(), key=str), dice.randint(1, len(fields))))


async def _twins(rest: Rest, path: str, dice: random.Random, people: list[int], contacts: list[int]) -> Any:
    """The ids of records, and of others like them."""
    table, columns, author = COLUMNS[path]
    twins: tuple[list[int], list[int]] = ([], [])
    for number in range(COUNT):
        row: dict[str, Any] = {**columns, author: dice.choice(people), "assigned_to_id": dice.choice([*people, None])}
        if path == "tasks":
            row["assigned_to_id"] = row["assigned_to_id"] or people[0]
        if path == "opportunities":
            row |= {"contact_id": dice.choice(contacts), "expected_close_date": "2026-12-31"}
        for side, ids in enumerate(twins):
            unique = {"email": f"{dice.random()}{number}.{side}@example.com"} if path == "contacts" else {}
            values = {**row, **unique}
            names = ", ".join(values)
            places = ", ".join("'" + str(v) + "'" if v is not None else "NULL" for v in values.values())
            ids.append(await rest.pool.fetchval(f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING id"))
    return twins


async def _single(rest: Rest, caller: Caller, path: str, id: int, data: Any) -> dict[str, Any]:
    """What a single change says, in the words of a change of many."""
    before = await rest.changes()
    one = f"/api/v1/{path}/{id}/"
    answer: Answer = await (caller.delete(one) if data is None else caller.patch(one, data))
    match answer.status:
        case 200:
            return {"result": "updated" if await rest.changes() > before else "unchanged"}
        case 204:
            return {"result": "deleted"}
        case 403 | 404 as status:
            return {"result": "forbidden" if status == 403 else "not_found", **answer.body}
        case 400:
            return {"result": "invalid", "errors": answer.body}
    raise AssertionError(answer)


async def _rows(rest: Rest, path: str, ids: list[int]) -> list[dict[str, Any]]:
    """The rows, without what tells twins apart."""
    table = COLUMNS[path][0]
    rows = {row["id"]: dict(row) for row in await rest.pool.fetch(f"SELECT * FROM {table} WHERE id = ANY($1)", ids)}
    apart = {"id", "email", "created_at", "updated_at", "converted_at", "completed_at", "last_activity_date"}
    return [{k: v for k, v in rows.get(id, {}).items() if k not in apart} for id in ids]


@pytest.mark.parametrize("path", COLUMNS)
async def test_many_and_single_changes_agree(rest: Rest, path: str) -> None:
    dice = random.Random(path)
    callers = [await rest.user(role) for role in Role]
    people = [caller.id for caller in callers]
    contacts = []
    for number, who in enumerate((people[0], None, people[2])):
        body = {**CONTACT, "email": f"c{number}@example.com", "assigned_to": who}
        contacts.append((await callers[0].post("/api/v1/contacts/", body)).body["id"])
    for number in range(examples(12)):
        caller = callers[number % len(callers)]
        many, single = await _twins(rest, path, dice, people, contacts)
        data = None if dice.random() < 0.3 else _data(path, dice, people, contacts)
        asked: Any = (
            {"ids": many, "action": "delete"} if data is None else {"ids": many, "action": "update", "data": data}
        )
        await rest.pool.execute(FREE)
        answer = await caller.post(f"/api/v1/{path}/bulk_update/", asked)
        await rest.pool.execute(FREE)
        said = [await _single(rest, caller, path, id, data) for id in single]
        if answer.status == 403:
            assert {one["result"] for one in said} <= {"forbidden", "not_found"}
            continue
        assert answer.status == 200, answer.body
        assert [{k: v for k, v in one.items() if k != "id"} for one in answer.body["results"]] == said
        assert await _rows(rest, path, many) == await _rows(rest, path, single)


async def test_those_at_once_do_not_get_in_each_others_way(rest: Rest) -> None:
    admin, dice = await rest.user(), random.Random(7)
    ids = [
        row["id"]
        for row in await rest.pool.fetch(
            """INSERT INTO crm_leads (first_name, last_name, email)
               SELECT 'a', 'b', 'c@example.com' FROM generate_series(1, 200) RETURNING id"""
        )
    ]

    async def bulk(number: int) -> Answer:
        body = {"ids": dice.sample(ids, len(ids)), "action": "update", "data": {"phone": str(number)}}
        return await admin.post("/api/v1/leads/bulk_update/", body)

    calls = [bulk(number) for number in range(6)]
    calls += [admin.patch(f"/api/v1/leads/{id}/", {"notes": "x"}) for id in ids[:20]]
    answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {200}
    assert {answer.body["updated"] for answer in answers[:6]} == {200}
    last = await rest.pool.fetch("SELECT phone, count(*) FROM crm_leads GROUP BY phone")
    assert [row["count"] for row in last] == [200]
    assert await rest.pool.fetchval("SELECT count(*) FROM events WHERE type = 'lead.updated'") == 6 * 200 + 20
