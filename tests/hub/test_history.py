"""Reading back: the audit trail, field history and the timeline, to each what they may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from models.access import Role
from models.audit import AuditTrail, FieldHistory
from models.timeline import TimelineItem
from tests.hub.rest import LEAD, Caller, Rest

AUDIT, FIELDS, TIMELINE = "/api/v1/audit-trail/", "/api/v1/field-history/", "/api/v1/timeline/"


@dataclass(frozen=True)
class Past:
    """Four things that happened, by what they happened to; every one was done by the admin, a day apart."""

    admin: Caller
    rep: Caller
    #: The rep's lead, somebody else's, and what was deleted.
    own: int
    foreign: int
    gone: int = 999

    @property
    def subjects(self) -> list[tuple[str, str]]:
        """What happened to what, oldest first."""
        return [
            ("lead", str(self.own)),
            ("lead", str(self.foreign)),
            ("lead", str(self.gone)),
            ("user", str(self.rep.id)),
        ]


@pytest.fixture
async def past(rest: Rest) -> Past:
    admin, rep = await rest.user(username="ann", first_name="Ann"), await rest.user(Role.SALES_REP)
    own = (await admin.post("/api/v1/leads/", {**LEAD, "assigned_to": rep.id})).body["id"]
    foreign = (await admin.post("/api/v1/leads/", {**LEAD, "assigned_to": admin.id})).body["id"]
    made = Past(admin, rep, own, foreign)
    for event, (kind, key) in enumerate(made.subjects, 1):
        await _happened(event, kind, key, admin.id)
    return made


async def _happened(event: int, kind: str, key: str, actor: int | None) -> None:
    """The rows that agents derive from an event; it happened on that day of March."""
    at = f"2026-03-{event:02}T12:00:00Z"
    record = await AuditTrail.create(
        event_id=event,
        user_id=actor,
        user_email="ann@example.com",
        object_type=kind,
        object_id=key,
        object_repr="Ida Holt",
        action="update",
        changes={"status": {"old": "new", "new": "lost"}},
        old_values={"status": "new"},
        new_values={"status": "lost"},
        ip_address="127.0.0.1",
        timestamp=at,
    )
    await FieldHistory.create(
        event_id=event,
        audit_trail_id=record.id,
        object_type=kind,
        object_id=key,
        field_name="status",
        field_label="Status",
        old_value="new",
        new_value="lost",
        changed_by_id=actor,
        changed_at=at,
    )
    await TimelineItem.create(
        event_id=event,
        type="audit",
        action="updated",
        entity_type=kind,
        entity_id=key,
        entity_name="Ida Holt",
        user_id=actor,
        user_name="Ann" if actor else "",
        changes={"status": {"old": "new", "new": "lost"}},
        occurred_at=at,
    )


async def subjects(caller: Caller, path: str, **query: Any) -> list[tuple[str, str]]:
    """What a list is about, newest first."""
    answer = await caller.get(path, params=query)
    assert answer.status == 200, answer.body
    kind, key = ("entity_type", "entity_id") if path == TIMELINE else ("model_name", "object_id")
    assert answer.body["count"] >= len(answer.body["results"])
    return [(row[kind], str(row[key])) for row in answer.body["results"]]


@pytest.mark.parametrize("path", [AUDIT, FIELDS, TIMELINE])
async def test_history_is_for_whoever_may_read_the_record_now(rest: Rest, past: Past, path: str) -> None:
    newest_first = past.subjects[::-1]
    viewer, marketer, manager = [await rest.user(role) for role in (Role.VIEWER, Role.MARKETING, Role.MANAGER)]
    assert await subjects(past.admin, path) == await subjects(manager, path) == newest_first
    assert await subjects(past.rep, path) == [("lead", str(past.own))]
    for reader in (viewer, marketer):
        assert await subjects(reader, path) == [("lead", str(past.foreign)), ("lead", str(past.own))]
    await rest.pool.execute("UPDATE crm_leads SET assigned_to_id = $1 WHERE id = $2", past.admin.id, past.own)
    assert await subjects(past.rep, path) == []


@pytest.mark.parametrize("path", [AUDIT, FIELDS])
async def test_one_row_of_history(rest: Rest, past: Past, path: str) -> None:
    for row in (await past.admin.get(path)).body["results"]:
        mine = row["model_name"] == "lead" and row["object_id"] == str(past.own)
        assert (await past.admin.get(f"{path}{row['id']}/")).body == row
        assert (await past.rep.get(f"{path}{row['id']}/")).status == (200 if mine else 404)
    assert (await past.admin.get(f"{path}nonsense/")).status == 404


async def test_what_a_row_shows(past: Past) -> None:
    row = (await past.admin.get(AUDIT, params={"object_id": past.own})).body["results"][0]
    assert set(row) == set(
        """id user user_name user_email content_type model_name object_id object_repr action description changes
        old_values new_values ip_address user_agent request_id metadata timestamp""".split()
    )
    assert (row["user_name"], row["ip_address"], row["timestamp"]) == ("Ann", "127.0.0.1", "2026-03-01T12:00:00Z")
    assert row["changes"] == {"status": {"old": "new", "new": "lost"}}
    types = {one["model"]: one["id"] for one in (await past.admin.get("/api/v1/content-types/")).body}
    assert row["content_type"] == types["lead"]

    field = (await past.admin.get(FIELDS)).body["results"][0]
    assert set(field) == set(
        """id content_type model_name object_id field_name field_label old_value new_value old_value_display
        new_value_display changed_by changed_by_name changed_at""".split()
    )

    item = (await past.admin.get(TIMELINE)).body["results"][0]
    assert item["id"].startswith("audit_")
    assert item["user"] == {"id": past.admin.id, "name": "Ann", "email": ""}
    assert "metadata" not in item


async def test_filters(past: Past) -> None:
    by_query: list[tuple[str, Mapping[str, Any], list[int]]] = [
        (AUDIT, {"start_date": "2026-03-02"}, [3, 2, 1]),
        (AUDIT, {"end_date": "2026-03-02"}, [1, 0]),
        (AUDIT, {"end_date": "2026-03-02T11:59:59Z"}, [0]),
        (AUDIT, {"start_date": "2026-03-02T12:00:00Z", "end_date": "2026-03-03T12:00:00+00:00"}, [2, 1]),
        (AUDIT, {"model": "user"}, [3]),
        (AUDIT, {"content_type": 3, "object_id": 999}, [2]),
        (AUDIT, {"user": past.admin.id, "action": "update", "ordering": "timestamp"}, [0, 1, 2, 3]),
        (AUDIT, {"user": past.rep.id}, []),
        (AUDIT, {"action": "delete"}, []),
        (AUDIT, {"page_size": 1, "page": 2}, [2]),
        (FIELDS, {"model": "lead", "object_id": past.own}, [0]),
        (FIELDS, {"field_name": "status", "changed_by": past.admin.id}, [3, 2, 1, 0]),
        (FIELDS, {"field_name": "notes"}, []),
        (TIMELINE, {"entity_type": "lead"}, [2, 1, 0]),
        (TIMELINE, {"entity_type": "lead", "entity_id": past.foreign}, [1]),
        (TIMELINE, {"activity_types": "task,opportunity"}, []),
        (TIMELINE, {"activity_types": "task,audit", "user_id": past.admin.id, "limit": 2}, [3, 2]),
        (TIMELINE, {"page_size": 1, "page": 3}, [1]),
        (TIMELINE, {"start_date": "2026-03-04", "action": "updated"}, [3]),
    ]
    for path, query, expected in by_query:
        assert await subjects(past.admin, path, **query) == [past.subjects[n] for n in expected], query


async def test_bad_filters(past: Past) -> None:
    for path, query, status, key in [
        (AUDIT, "start_date=yesterday", 400, "start_date"),
        (AUDIT, "end_date=2026-02-30", 400, "end_date"),
        (AUDIT, "model=nonsense", 400, "model"),
        (AUDIT, "content_type=99", 400, "content_type"),
        (AUDIT, "object_id=%00", 400, "object_id"),
        (AUDIT, "user=me", 400, "user"),
        (AUDIT, "action=explode", 400, "action"),
        (AUDIT, "ordering=id;drop", 400, "ordering"),
        (AUDIT, "page=9", 404, "detail"),
        (FIELDS, "model=lead", 400, "model"),
        (FIELDS, "object_id=1", 400, "model"),
        (FIELDS, "start_date=2026-01-01", 400, "start_date"),
        (TIMELINE, "entity_id=1", 400, "entity_id"),
        (TIMELINE, "limit=501", 400, "limit"),
        (TIMELINE, "limit=5&page_size=5", 400, "limit"),
        (TIMELINE, "activity_types=gossip", 400, "activity_types"),
        (TIMELINE, "nothing=1", 400, "nothing"),
    ]:
        answer = await past.admin.get(f"{path}?{query}")
        assert (answer.status, list(answer.body)) == (status, [key]), query


async def test_the_timeline_of_one_record(rest: Rest, past: Past) -> None:
    own = await past.rep.get(f"{TIMELINE}lead/{past.own}/")
    assert (own.status, own.body["entity_type"], own.body["entity_id"], own.body["count"]) == (200, "lead", past.own, 1)
    (item,) = own.body["timeline"]
    assert set(item) == {"id", "type", "action", "description", "user", "changes", "timestamp"}
    assert item["user"] == "Ann"

    deleted = f"{TIMELINE}lead/{past.gone}/"
    assert (await past.admin.get(deleted)).body["count"] == 1
    for caller, path in [
        (past.rep, f"{TIMELINE}lead/{past.foreign}/"),
        (past.rep, deleted),
        (past.rep, f"{TIMELINE}user/{past.rep.id}/"),
        (past.admin, f"{TIMELINE}lead/123456/"),
        (past.admin, f"{TIMELINE}nonsense/1/"),
        (past.admin, f"{TIMELINE}lead/99999999999999999999/"),
    ]:
        answer = await caller.get(path)
        assert (answer.status, list(answer.body)) == (404, ["error"]), path

    await _happened(9, "lead", str(past.own), None)
    newest = (await past.rep.get(f"{TIMELINE}lead/{past.own}/?limit=1")).body
    assert (newest["count"], newest["timeline"][0]["user"]) == (2, "System")


@pytest.mark.parametrize("path", [AUDIT, FIELDS, TIMELINE])
async def test_history_is_gone_through_by_cursor(past: Past, path: str) -> None:
    whole = [row["id"] for row in (await past.admin.get(path)).body["results"]]
    first = (await past.admin.get(f"{path}?page_size=3&cursor=")).body
    assert (first["count"], first["previous"]) == (None, None)
    rest = (await past.admin.get(first["next"].removeprefix(past.admin.url))).body
    assert [row["id"] for row in first["results"] + rest["results"]] == whole
    back = (await past.admin.get(rest["previous"].removeprefix(past.admin.url))).body
    assert (back["results"], back["previous"]) == (first["results"], None)
    assert (await past.admin.get(f"{path}?page_size=3&count=none")).body["count"] is None
    refused = await past.admin.get(f"{path}?cursor=x")
    assert (refused.status, list(refused.body)) == (400, ["cursor"])
