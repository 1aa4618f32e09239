"""Values of custom fields one by one, as a view of the records."""

from __future__ import annotations

from models.access import Role
from tests.hub.rest import Rest
from tests.hub.test_custom_fields import VALUES, defined, made

SHAPE = """id custom_field field_label field_type content_type object_id value_text value_number value_boolean
    value_date value_datetime value_json display_value created_at updated_at"""


async def test_a_value_from_birth_to_death(rest: Rest) -> None:
    admin = await rest.user()
    field = await defined(admin, "revenue", "decimal")
    lead = await made(admin)
    body = {"custom_field": field["id"], "object_id": lead["id"], "value_number": 12.5}
    made_ = await admin.post(VALUES, body)
    assert made_.status == 201, made_.body
    value = made_.body
    assert sorted(value) == sorted(SHAPE.split())
    assert (value["value_number"], value["display_value"], value["value_text"]) == ("12.50", "12.50", "")
    assert (value["content_type"], value["field_type"]) == (3, "decimal")
    one = f"{VALUES}{value['id']}/"
    assert (await admin.get(one)).body == value
    assert (await admin.post(VALUES, body)).status == 400
    patched = await admin.patch(one, {"value_number": "13.00"})
    assert (patched.status, patched.body["value_number"]) == (200, "13.00")
    assert (await admin.put(one, patched.body)).status == 200
    assert (await admin.patch(one, {"value_number": "x"})).body == {"value_number": ["A valid number is required."]}
    assert (await admin.patch(one, {"value_text": "x"})).status == 400
    assert (await admin.patch(one, {"object_id": 5})).status == 400
    assert (await admin.patch(one, {"content_type": "contact"})).status == 400
    assert (await admin.patch(one, {"content_type": "lead", "value": "14"})).body["value_number"] == "14.00"
    assert (await admin.get(f"/api/v1/leads/{lead['id']}/")).body["custom_fields"] == {"revenue": "14.00"}
    assert (await admin.delete(one)).status == 204
    assert (await admin.get(one)).status == 404
    assert (await admin.get(f"/api/v1/leads/{lead['id']}/")).body["custom_fields"] == {"revenue": None}


async def test_lists_are_of_what_one_may_read(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    plain = await defined(admin, "plain", "number")
    secret = await defined(admin, "secret", "number", visible_to_roles=["manager"])
    mine = await made(rep, custom_fields={"plain": 1})
    await made(admin, assigned_to=admin.id, custom_fields={"plain": 2, "secret": 3})
    await admin.patch(f"/api/v1/leads/{mine['id']}/", {"custom_fields": {"secret": 4}})
    every = (await admin.get(VALUES)).body
    assert [v["value_number"] for v in every["results"]] == [1, 4, 2, 3]
    assert [v["value_number"] for v in (await rep.get(VALUES)).body["results"]] == [1]
    assert (await rep.get(f"{VALUES}?custom_field={secret['id']}")).body["count"] == 0
    assert (await admin.get(f"{VALUES}?custom_field={plain['id']}&page_size=1&page=2")).body["count"] == 2
    assert (await admin.get(f"{VALUES}?content_type=contact")).body["count"] == 0
    assert (await admin.get(f"{VALUES}?content_type=3&object_id={mine['id']}")).body["count"] == 2
    assert (await admin.get(f"{VALUES}?content_type=x")).status == 400
    hidden = every["results"][1]["id"]
    for answer in (
        await rep.get(f"{VALUES}{hidden}/"),
        await rep.patch(f"{VALUES}{hidden}/", {"value_number": 5}),
        await rep.delete(f"{VALUES}{hidden}/"),
        await rep.get(f"{VALUES}{every['results'][2]['id']}/"),
    ):
        assert answer.status == 404
    body = {"custom_field": secret["id"], "object_id": mine["id"], "value": 5}
    assert (await rep.post(VALUES, body)).body == {"custom_field": [f"There is no custom field {secret['id']}."]}
    gone = {**body, "custom_field": 99}
    assert (await rep.post(VALUES, gone)).body == {"custom_field": ["There is no custom field 99."]}


async def test_values_of_one_record(rest: Rest) -> None:
    admin, viewer = await rest.user(), await rest.user(Role.VIEWER)
    first = await defined(admin, "first")
    second = await defined(admin, "second", "multiselect", options=["a", "b"])
    await defined(admin, "third")
    lead = await made(admin, custom_fields={"first": "x"})
    path = f"{VALUES}for_object/?model=lead&object_id={lead['id']}"
    assert [v["value_text"] for v in (await admin.get(path)).body] == ["x"]
    body = {"model": "lead", "object_id": lead["id"], "values": {str(second["id"]): ["b"], "99": 1, "no": 2}}
    told = await admin.post(VALUES + "bulk_update/", body)
    assert (told.status, told.body) == (
        200,
        {
            "updated": [{"field_id": second["id"], "field_name": "second", "value": ["b"]}],
            "errors": [
                {"field_id": 99, "error": "There is no such field."},
                {"field_id": "no", "error": "There is no such field."},
            ],
        },
    )
    assert [v["value_json"] for v in (await viewer.get(path)).body] == [None, ["b"]]
    only = {"model": "lead", "object_id": lead["id"], "values": {str(first["id"]): "y"}}
    assert (await viewer.post(VALUES + "bulk_update/", only)).status == 403
    for query, status in (
        ("", 400),
        ("?model=lead", 400),
        ("?object_id=1", 400),
        ("?model=lead&object_id=x", 400),
        ("?model=nothing&object_id=1", 404),
        ("?model=user&object_id=1", 404),
        ("?model=lead&object_id=99", 404),
        (f"?model=3&object_id={lead['id']}", 200),
    ):
        assert (await admin.get(f"{VALUES}for_object/{query}")).status == status, query
    for wrong, status in (
        ({}, 400),
        ({"model": "lead", "object_id": lead["id"]}, 400),
        ({"model": "x", "object_id": 1, "values": {}}, 404),
        ({"model": "lead", "object_id": 99, "values": {}}, 404),
    ):
        assert (await admin.post(VALUES + "bulk_update/", wrong)).status == status, wrong
