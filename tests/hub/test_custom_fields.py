"""Custom fields by REST: defining them, and their values on records."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from hub.definitions import DEFINITIONS
from models.access import Role
from tests.hub.rest import CONTACT, LEAD, Caller, Rest, serve
from tests.vectors import ALIKE, Vector

FIELDS = "/api/v1/custom-fields/"
VALUES = "/api/v1/custom-field-values/"


async def defined(caller: Caller, name: str, type: str = "text", **columns: Any) -> dict[str, Any]:
    """The field a caller defines."""
    body = {"name": name, "label": name.capitalize(), "field_type": type, "content_type": "lead", **columns}
    answer = await caller.post(FIELDS, body)
    assert answer.status == 201, answer.body
    return dict(answer.body)


async def made(caller: Caller, **columns: Any) -> dict[str, Any]:
    """The lead a caller makes."""
    answer = await caller.post("/api/v1/leads/", {**LEAD, **columns})
    assert answer.status == 201, answer.body
    return dict(answer.body)


async def test_a_field_from_birth_to_death(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    field = await defined(admin, "industry", "select", options=["food", {"value": "it", "label": "IT"}], order=2)
    assert field["model_name"] == "lead"
    assert field["content_type"] == 3
    assert field["options"] == [{"value": "food", "label": "food"}, {"value": "it", "label": "IT"}]
    assert (field["created_by"], field["is_active"], field["min_value"]) == (admin.id, True, None)
    one = f"{FIELDS}{field['id']}/"
    assert (await rep.get(one)).body["id"] == field["id"]
    assert (await admin.patch(one, {"label": "Branch", "min_length": 3})).status == 400
    patched = await admin.patch(one, {"label": "Branch", "default_value": "it"})
    assert (patched.status, patched.body["label"]) == (200, "Branch")
    assert (await made(rep))["custom_fields"] == {"industry": "it"}
    for name, value in (("name", "branch"), ("content_type", "contact"), ("field_type", "text")):
        refused = await admin.patch(one, {name: value})
        assert (refused.status, list(refused.body)) == (400, [name])
    assert (await admin.patch(one, {"name": "industry", "content_type": 3, "field_type": "select"})).status == 200
    listed = (await admin.get(FIELDS + "?model=lead&ordering=-order")).body
    assert [f["name"] for f in listed["results"]] == ["industry"]
    assert (await admin.get(FIELDS + "?content_type=contact")).body["count"] == 0
    assert (await admin.get(FIELDS + "?model=nothing")).status == 400
    for search, count in (("branch", 1), ("IND bra", 1), ("ind food", 0), ("", 1)):
        assert (await admin.get(f"{FIELDS}?search={search}")).body["count"] == count
    for query in (
        "field_type=select",
        "is_active=true",
        "is_visible=true",
        "content_type=3",
        "visible_to_roles__contains=x",
    ):
        assert (await admin.get(f"{FIELDS}?{query}")).status == 200, query
    assert (await admin.get(FIELDS + "?model=lead&content_type=3")).status == 400


async def test_who_defines(rest: Rest) -> None:
    admin, manager, rep = await rest.user(), await rest.user(Role.MANAGER), await rest.user(Role.SALES_REP)
    body = {"name": "x", "label": "X", "field_type": "text", "content_type": 3}
    assert (await rep.post(FIELDS, body)).status == 403
    field = await defined(manager, "x")
    for answer in (
        await rep.patch(f"{FIELDS}{field['id']}/", {"label": "Y"}),
        await rep.delete(f"{FIELDS}{field['id']}/"),
        await rep.post(FIELDS + "reorder/", {"field_ids": [field["id"]]}),
    ):
        assert answer.status == 403
    assert (await manager.post(FIELDS, body)).body == {"name": ["A custom field with this name already exists."]}
    away = await manager.patch(f"{FIELDS}{field['id']}/", {"visible_to_roles": ["sales_rep"]})
    assert (away.status, list(away.body)) == (400, ["visible_to_roles"])
    assert (await admin.patch(f"{FIELDS}{field['id']}/", {"visible_to_roles": ["sales_rep"]})).status == 200
    assert (await manager.get(f"{FIELDS}{field['id']}/")).status == 404
    assert (await manager.patch(f"{FIELDS}{field['id']}/", {"label": "Z"})).status == 404
    assert (await manager.get(FIELDS)).body["count"] == 0
    assert (await rep.get(FIELDS)).body["count"] == 1
    assert (await admin.patch(f"{FIELDS}{field['id']}/", {"is_active": False})).status == 200
    assert (await rep.get(FIELDS)).body["count"] == 0
    assert (await admin.get(FIELDS)).body["count"] == 1


async def test_names_are_identifiers(rest: Rest) -> None:
    admin = await rest.user()
    for name in ("", "Name", "1st", "a-b", "a__b", "a b", "_a", "a_", "ä", "a" * 101, 5):
        body = {"name": name, "label": "X", "field_type": "text", "content_type": "lead"}
        answer = await admin.post(FIELDS, body)
        assert (answer.status, list(answer.body)) == (400, ["name"]), name
    await defined(admin, "a" * 100)
    await defined(admin, "a1_b2")


async def test_vectors_inline_in_bulk_and_tried(rest: Rest) -> None:
    admin = await rest.user()
    for number, alike in enumerate(ALIKE.values()):
        field = await defined(admin, f"x{number}", alike[0].type, **alike[0].rules)
        other = await admin.post(FIELDS, alike[0].definition(f"y{number}", is_required=False))
        await _hold(admin, field, other.body, alike)
        for one in (field, other.body):
            assert (await admin.patch(f"{FIELDS}{one['id']}/", {"is_active": False})).status == 200


async def _hold(admin: Caller, field: dict[str, Any], other: dict[str, Any], alike: list[Vector]) -> None:
    """Hold vectors of one field against every way to write its values."""
    name = field["name"]
    held = next((v.stored for v in alike if v.stored is not None), None)
    one = (await made(admin, custom_fields={name: held} if field["is_required"] else {}))["id"]
    for vector in alike:
        tried = await admin.post(f"{FIELDS}{field['id']}/validate_value/", {"value": vector.input})
        new = await admin.post("/api/v1/leads/", {**LEAD, "custom_fields": {name: vector.input}})
        patched = await admin.patch(f"/api/v1/leads/{one}/", {"custom_fields": {name: vector.input}})
        body = {"model": "lead", "object_id": one, "values": {str(field["id"]): vector.input, str(other["id"]): held}}
        bulk = await admin.post(VALUES + "bulk_update/", body)
        stored = (await admin.get(f"/api/v1/leads/{one}/")).body["custom_fields"]
        assert bulk.status == 200
        if vector.error is None:
            assert (tried.status, tried.body) == (200, {"valid": True}), vector
            assert (new.status, new.body["custom_fields"][name]) == (201, vector.stored), vector
            assert (patched.status, patched.body["custom_fields"][name]) == (200, vector.stored), vector
            assert stored[name] == vector.stored
            told = {"field_id": field["id"], "field_name": name, "value": vector.stored}
            assert (bulk.body["updated"][0], bulk.body["errors"]) == (told, [])
        else:
            refused = {"custom_fields": [vector.error]} if _nul(vector) else {f"custom_fields.{name}": [vector.error]}
            assert (tried.status, tried.body) == (400, {"valid": False, "error": vector.error})
            assert (new.status, new.body) == (patched.status, patched.body) == (400, refused), vector
            assert bulk.body["errors"] == [{"field_id": field["id"], "error": vector.error}]
            assert [u["field_name"] for u in bulk.body["updated"]] == [other["name"]]


def _nul(vector: Vector) -> bool:
    return isinstance(vector.input, str) and "\x00" in vector.input


async def test_a_patch_merges_and_null_removes(rest: Rest) -> None:
    admin = await rest.user()
    for name in ("a", "b", "c"):
        await defined(admin, name)
    lead = await made(admin, custom_fields={"a": "1", "b": "2"})
    assert lead["custom_fields"] == {"a": "1", "b": "2", "c": None}
    one = f"/api/v1/leads/{lead['id']}/"
    patched = await admin.patch(one, {"custom_fields": {"b": None, "c": "3"}})
    assert patched.body["custom_fields"] == {"a": "1", "b": None, "c": "3"}
    put = await admin.put(one, {**LEAD, "custom_fields": {"a": "4"}})
    assert put.body["custom_fields"] == {"a": "4", "b": None, "c": "3"}
    assert (await admin.put(one, LEAD)).body["custom_fields"] == {"a": "4", "b": None, "c": "3"}
    assert (await admin.put(one, put.body)).status == 200
    stored = await rest.pool.fetchval("SELECT custom_fields FROM crm_leads")
    assert stored == '{"a": "4", "c": "3"}'
    before = await rest.changes()
    assert (await admin.patch(one, {"custom_fields": {}})).body == (await admin.get(one)).body
    assert await rest.changes() == before


async def test_patches_of_different_fields_at_once_both_count(rest: Rest) -> None:
    admin = await rest.user()
    names = [f"f{n}" for n in range(8)]
    for name in names:
        await defined(admin, name)
    one = f"/api/v1/leads/{(await made(admin))['id']}/"
    await asyncio.gather(*(admin.patch(one, {"custom_fields": {name: name}}) for name in names))
    assert (await admin.get(one)).body["custom_fields"] == {name: name for name in names}


async def test_required_and_defaults(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    await defined(admin, "size", "number", is_required=True)
    await defined(admin, "vip", "boolean", is_required=True, default_value="false")
    await defined(admin, "grade", is_required=True, editable_by_roles=["manager"])
    missing = await rep.post("/api/v1/leads/", LEAD)
    assert (missing.status, missing.body) == (400, {"custom_fields.size": ["This field is required."]})
    lead = await made(rep, custom_fields={"size": 0})
    assert lead["custom_fields"] == {"grade": None, "size": 0, "vip": False}
    one = f"/api/v1/leads/{lead['id']}/"
    assert (await rep.patch(one, {"notes": "x"})).status == 200
    assert (await rep.patch(one, {"custom_fields": {"size": None}})).body == {
        "custom_fields.size": ["This field is required."]
    }
    assert (await rep.put(one, LEAD)).status == 400
    assert (await rep.put(one, {**LEAD, "custom_fields": {"size": 1, "vip": True}})).status == 200
    assert (await rep.patch(one, {"custom_fields": {"grade": "A"}})).body == {
        "custom_fields.grade": ["This field is read-only."]
    }
    assert (await rep.patch(one, {"custom_fields": {"grade": None, "size": 2}})).status == 200
    every = await admin.post("/api/v1/leads/", {**LEAD, "email": 5, "custom_fields": {"size": "x", "no": 1}})
    assert set(every.body) == {"email", "custom_fields.size", "custom_fields.no"}
    assert every.body["custom_fields.no"] == ["Unknown field. Fields are: grade, size, vip."]


async def test_every_kind_of_record_has_its_own_fields(rest: Rest) -> None:
    admin = await rest.user()
    contact = (await admin.post("/api/v1/contacts/", CONTACT)).body
    bodies = {
        "lead": ("leads", LEAD),
        "contact": ("contacts", {**CONTACT, "email": "other@example.com"}),
        "opportunity": (
            "opportunities",
            {"name": "Deal", "amount": "5.00", "contact": contact["id"], "expected_close_date": "2027-01-01"},
        ),
        "task": ("tasks", {"title": "Call", "assigned_to": admin.id}),
    }
    for entity in bodies:
        await defined(admin, f"of_{entity}", content_type=entity)
    for entity, (path, body) in bodies.items():
        answer = await admin.post(f"/api/v1/{path}/", {**body, "custom_fields": {f"of_{entity}": "x"}})
        assert (answer.status, answer.body.get("custom_fields")) == (201, {f"of_{entity}": "x"}), answer.body
        (listed, *_) = (await admin.get(f"/api/v1/{path}/")).body["results"]
        assert "custom_fields" not in listed


async def test_a_field_defined_on_one_node_counts_on_another(rest: Rest, database: str) -> None:
    admin = await rest.user()
    async with serve(database) as other:
        there = Caller(other.http, other.url, admin.id, admin.token)
        held = other.app[DEFINITIONS]
        field = await defined(admin, "x", is_required=True)
        async with asyncio.timeout(10):
            while held.now.version != rest.app[DEFINITIONS].now.version:
                await asyncio.sleep(0)
        assert (await there.post("/api/v1/leads/", LEAD)).status == 400
        assert (await made(there, custom_fields={"x": "1"}))["custom_fields"] == {"x": "1"}
        assert (await there.patch(f"{FIELDS}{field['id']}/", {"is_active": False})).status == 200
        assert held.now.seen("lead", Role.ADMIN) == {}


async def test_a_node_that_has_heard_nothing_writes_nothing_wrong(rest: Rest) -> None:
    """Definitions of before, as a node has them whose connection hangs."""
    admin = await rest.user()
    held = rest.app[DEFINITIONS]
    lead = await made(admin)
    stale = held.now
    field = await defined(admin, "x", max_length=3)
    lax = held.now
    assert (await admin.patch(f"{FIELDS}{field['id']}/", {"max_length": 1})).status == 200
    one = f"/api/v1/leads/{lead['id']}/"
    held.now = lax
    assert (await admin.patch(one, {"custom_fields": {"x": "abc"}})).status == 400
    held.now = lax
    assert (await admin.post("/api/v1/leads/", {**LEAD, "custom_fields": {"x": "abc"}})).status == 400
    assert (await admin.patch(f"{FIELDS}{field['id']}/", {"is_required": True})).status == 200
    held.now = stale
    assert (await admin.post("/api/v1/leads/", LEAD)).status == 400
    assert await rest.pool.fetchval("SELECT count(*) FROM crm_leads WHERE custom_fields <> '{}'") == 0


async def test_a_write_and_a_definition_wait_for_each_other(rest: Rest) -> None:
    admin = await rest.user()
    field = await defined(admin, "x")
    lead = await made(admin)
    async with rest.pool.acquire() as definer:
        transaction = definer.transaction()
        await transaction.start()
        await definer.execute("DELETE FROM crm_custom_fields WHERE id = $1", field["id"])
        write = asyncio.create_task(admin.patch(f"/api/v1/leads/{lead['id']}/", {"custom_fields": {"x": "late"}}))
        await rest.blocked(1)
        await transaction.commit()
    answer = await write
    assert (answer.status, answer.body) == (400, {"custom_fields.x": ["Unknown field. Fields are: none."]})
    assert await rest.pool.fetchval("SELECT custom_fields FROM crm_leads") == "{}"


async def test_fields_are_put_in_order(rest: Rest) -> None:
    admin = await rest.user()
    ids = [(await defined(admin, name))["id"] for name in ("a", "b", "c")]
    elsewhere = (await defined(admin, "d", content_type="task"))["id"]
    order = [ids[2], ids[0], ids[1]]
    assert (await admin.post(FIELDS + "reorder/", {"field_ids": order})).body == {"reordered": 3}
    assert [f["id"] for f in (await admin.get(FIELDS + "?model=lead")).body["results"]] == order
    assert list((await made(admin))["custom_fields"]) == ["c", "a", "b"]
    for wrong in (None, [], [ids[0], ids[0]], [ids[0], 99], ["1"], [True], [ids[0], elsewhere]):
        answer = await admin.post(FIELDS + "reorder/", {"field_ids": wrong})
        assert (answer.status, list(answer.body)) == (400, ["field_ids"]), wrong


async def test_postgres_refuses_what_is_not_by_the_latest_definitions(rest: Rest) -> None:
    async with rest.pool.acquire() as connection:
        version = await connection.fetchval("SELECT version FROM custom_fields_version")
        assert await connection.fetchval("SELECT hub_custom_fields_are($1)", version) is True
        assert await connection.fetchval("SELECT hub_custom_fields_are($1)", version - 1) is False
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("INSERT INTO custom_fields_version (id, version) VALUES (false, 1)")
