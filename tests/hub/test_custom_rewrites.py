"""Changes of a custom field that change what records have: looked at before, done at once or by a job."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hub import custom_rewrites
from models.access import Role
from streams.agents import AGENTS
from streams.audit import AUDIT
from tests.hub.rest import Caller, Rest
from tests.hub.test_custom_fields import FIELDS, defined, made
from tests.streams.story import Story

OPTIONS = ["a", "b", "c"]


async def _leads(admin: Caller, name: str, *values: Any) -> list[int]:
    return [(await made(admin, custom_fields={name: value}))["id"] for value in values]


async def _values(rest: Rest, name: str) -> list[Any]:
    rows = await rest.pool.fetch("SELECT custom_fields -> $1 AS value FROM crm_leads ORDER BY id", name)
    return [None if row["value"] is None else orjson.loads(row["value"]) for row in rows]


async def _work(rest: Rest) -> None:
    """Do every step of every job."""
    story = Story(rest.pool)
    for _ in range(20):
        await story.follow(AGENTS["jobs"])


async def test_a_deleted_field_takes_its_values_and_the_audit_trail_keeps_them(rest: Rest) -> None:
    admin = await rest.user()
    field = await defined(admin, "x")
    (lead, _) = await _leads(admin, "x", "one", None)
    one = f"{FIELDS}{field['id']}/"
    looked = await admin.delete(one + "?preview=true")
    assert (looked.status, looked.body) == (200, {"records": 1, "lost": 0, "examples": [], "exact": True})
    assert (await admin.get(one)).status == 200
    assert (await admin.delete(one)).status == 204
    assert (await admin.get(one)).status == 404
    assert await _values(rest, "x") == [None, None]
    assert (await admin.get(f"/api/v1/leads/{lead}/")).body["custom_fields"] == {}
    await Story(rest.pool).follow(AUDIT)
    (last, *_) = (await admin.get("/api/v1/field-history/?field_name=custom_fields__x")).body["results"]
    assert (last["old_value"], last["new_value"], last["object_id"]) == ("one", None, str(lead))
    again = await defined(admin, "x", "number")
    assert again["id"] != field["id"]
    assert await _values(rest, "x") == [None, None]


async def test_a_field_that_is_not_active_keeps_its_values(rest: Rest) -> None:
    admin = await rest.user()
    field = await defined(admin, "x")
    (lead,) = await _leads(admin, "x", "one")
    one, of = f"{FIELDS}{field['id']}/", f"/api/v1/leads/{lead}/"
    assert (await admin.patch(one, {"is_active": False})).status == 200
    assert (await admin.get(of)).body["custom_fields"] == {}
    assert (await admin.patch(of, {"custom_fields": {"x": "two"}})).status == 400
    assert (await admin.patch(one, {"is_active": True})).status == 200
    assert (await admin.get(of)).body["custom_fields"] == {"x": "one"}


@pytest.mark.parametrize("type", ["select", "multiselect"])
async def test_an_option_is_renamed_in_records_too(rest: Rest, type: str) -> None:
    admin = await rest.user()
    field = await defined(admin, "x", type, options=OPTIONS, default_value="a")
    several = type == "multiselect"
    values = [["a", "b"], ["b", "c"], ["c"]] if several else ["a", "b", "c"]
    await _leads(admin, "x", *values)
    one = f"{FIELDS}{field['id']}/"
    body = {"from": "a", "to": "z", "label": "Zed"}
    looked = (await admin.post(f"{one}rename_option/?preview=true", body)).body
    assert (looked["records"], looked["lost"]) == (1, 0)
    refused = await admin.patch(one, {"options": ["b", "c"]})
    assert (refused.status, "1 records have a" in refused.body["detail"]) == (409, True)
    assert (await admin.post(f"{one}rename_option/", body)).body == {"changed": 1, "lost": 0}
    assert await _values(rest, "x") == ([["z", "b"], ["b", "c"], ["c"]] if several else ["z", "b", "c"])
    after = (await admin.get(one)).body
    assert after["options"][0] == {"value": "z", "label": "Zed"}
    assert after["default_value"] == "z"
    assert (await admin.post(f"{one}rename_option/", {"from": "z", "to": "b"})).status == 200
    assert await _values(rest, "x") == ([["b"], ["b", "c"], ["c"]] if several else ["b", "b", "c"])
    assert (await admin.post(f"{one}rename_option/", {"from": "no", "to": "b"})).status == 400
    assert (await admin.post(f"{one}rename_option/", {"from": "b", "to": "x,y"})).status == 400


async def test_a_type_is_changed_with_the_values(rest: Rest) -> None:
    admin = await rest.user()
    field = await defined(admin, "x", max_length=20, default_value="7")
    await _leads(admin, "x", "1", "2", "two", "two")
    one = f"{FIELDS}{field['id']}/"
    looked = (await admin.post(f"{one}change_type/?preview=true", {"field_type": "number", "min_value": 2})).body
    assert looked == {
        "records": 4,
        "lost": 3,
        "examples": [
            {"value": "two", "records": 2, "error": "A whole number is required."},
            {"value": "1", "records": 1, "error": "Must be at least 2.00."},
        ],
        "exact": True,
    }
    refused = await admin.post(f"{one}change_type/", {"field_type": "number"})
    assert (refused.status, await _values(rest, "x")) == (409, ["1", "2", "two", "two"])
    told = await admin.post(f"{one}change_type/", {"field_type": "number", "lose": True})
    assert (told.status, told.body) == (200, {"changed": 4, "lost": 2})
    assert await _values(rest, "x") == [1, 2, None, None]
    now = (await admin.get(one)).body
    assert (now["field_type"], now["max_length"], now["default_value"], now["is_active"]) == ("number", None, "", True)
    for type, values in (("decimal", ["1.00", "2.00"]), ("number", [1, 2]), ("text", ["1", "2"])):
        assert (await admin.post(f"{one}change_type/", {"field_type": type})).body["lost"] == 0
        assert (await _values(rest, "x"))[:2] == values
    for wrong in ({}, {"field_type": "no"}, {"field_type": "select"}, {"field_type": "date", "max_length": 3}):
        assert (await admin.post(f"{one}change_type/", wrong)).status == 400


async def test_dates_and_times_become_each_other(rest: Rest) -> None:
    admin = await rest.user()
    field = await defined(admin, "x", "date", is_required=True)
    await _leads(admin, "x", "2026-03-31")
    one = f"{FIELDS}{field['id']}/change_type/"
    assert (await admin.post(one, {"field_type": "datetime"})).body == {"changed": 1, "lost": 0}
    assert await _values(rest, "x") == ["2026-03-31T00:00:00Z"]
    assert (await admin.post(one, {"field_type": "date"})).body == {"changed": 1, "lost": 0}
    assert await _values(rest, "x") == ["2026-03-31"]


async def test_many_records_are_a_job_and_nobody_meets_them_half_way(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom_rewrites, "AT_ONCE", 1)
    admin, manager = await rest.user(), await rest.user(Role.MANAGER)
    field = await defined(admin, "x")
    (lead, *_) = await _leads(admin, "x", "1", "2", "3")
    one = f"{FIELDS}{field['id']}/"
    begun = await admin.post(f"{one}change_type/", {"field_type": "number"})
    assert begun.status == 202
    assert (await admin.get(f"/api/v1/leads/{lead}/")).body["custom_fields"] == {}
    for answer in (
        await manager.patch(one, {"is_active": True}),
        await manager.post(f"{one}change_type/", {"field_type": "date"}),
        await manager.delete(one),
    ):
        assert (answer.status, begun.body["job"] in answer.body["detail"]) == (409, True)
    await _work(rest)
    job = (await admin.get(f"/api/v1/jobs/{begun.body['job']}/")).body
    assert (job["status"], job["done"], job["total"], job["error"]) == ("completed", 3, 3, "")
    assert job["result"] == {"changed": 3, "lost": 0}
    assert await _values(rest, "x") == [1, 2, 3]
    assert (await admin.get(one)).body["field_type"] == "number"
    gone = await admin.delete(one)
    assert gone.status == 202
    await _work(rest)
    assert (await admin.get(one)).status == 404
    assert await _values(rest, "x") == [None, None, None]


async def test_who_may(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    field = await defined(admin, "x", "select", options=OPTIONS)
    one = f"{FIELDS}{field['id']}/"
    assert (await rep.post(f"{one}rename_option/", {"from": "a", "to": "z"})).status == 403
    assert (await rep.post(f"{one}change_type/", {"field_type": "text"})).status == 403
    assert (await rep.delete(one)).status == 403
    assert (await admin.delete(f"{one}?preview=perhaps")).status == 400
