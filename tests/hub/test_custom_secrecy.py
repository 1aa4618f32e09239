"""A custom field that is hidden from a role is not there for it: not in any answer, not in any refusal."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from hub.routes import ROUTES
from models.access import Role
from streams.audit import AUDIT
from streams.live import LIVE
from streams.timeline import TIMELINE
from tests.hub.rest import Caller, Rest
from tests.hub.test_custom_fields import FIELDS, VALUES, defined, made
from tests.streams.story import Story

NAME, VALUES_OF_IT = "zanzibar", ("quetzal", "xylophone")

#: Roles that may read every lead, or at least this one.
BLIND = (Role.MANAGER, Role.SALES_REP, Role.MARKETING, Role.VIEWER)


async def _told(rest: Rest, admin: Caller) -> dict[str, int]:
    """A lead whose hidden field was set, changed and removed, with all that agents make of it; ids of what there is."""
    story = Story(rest.pool)
    await story.follow(LIVE)
    field = await defined(admin, NAME, label=NAME, visible_to_roles=["customer_support"], default_value="")
    plain = await defined(admin, "plain")
    body = {"name": "Group", "content_type": "lead", "fields": [field["id"], plain["id"]]}
    group = (await admin.post("/api/v1/custom-field-groups/", body)).body["id"]
    lead = (await made(admin, custom_fields={NAME: VALUES_OF_IT[0], "plain": "a"}))["id"]
    for change in ({NAME: VALUES_OF_IT[1]}, {NAME: VALUES_OF_IT[0], "plain": "b"}, {"plain": "c"}):
        assert (await admin.patch(f"/api/v1/leads/{lead}/", {"custom_fields": change})).status == 200
    for agent in (AUDIT, TIMELINE, LIVE):
        await story.follow(agent)
    return {"lead": lead, "field": field["id"], "plain": plain["id"], "group": group}


def _everywhere(ids: dict[str, int]) -> Iterator[str]:
    """Every path one can read, with the ids of what there is."""
    values = [ids[name] << 40 | ids["lead"] for name in ("field", "plain")]
    for route in ROUTES:
        if route.method == "GET" and route.path.startswith("/api/v1/"):
            for one in {*ids.values(), *values}:
                yield route.path.replace("{id:[0-9]+}", str(one)).replace("{entity_type}", "lead")
    yield f"{VALUES}for_object/?model=lead&object_id={ids['lead']}"
    yield "/api/v1/field-history/?page_size=100"
    yield f"/api/v1/field-history/?field_name=custom_fields__{NAME}"
    yield "/api/v1/audit-trail/?model=custom_field"


def _secret(body: object) -> bool:
    text = orjson.dumps(body).decode().lower()
    return any(word in text for word in (NAME, *VALUES_OF_IT))


@pytest.mark.parametrize("role", BLIND)
async def test_no_answer_has_it(rest: Rest, role: Role) -> None:
    admin = await rest.user()
    ids = await _told(rest, admin)
    one = await rest.user(role)
    await admin.patch(f"/api/v1/leads/{ids['lead']}/", {"assigned_to": one.id})
    await Story(rest.pool).follow(AUDIT)
    seen = 0
    for path in dict.fromkeys(_everywhere(ids)):
        answer = await one.get(path)
        # A filter by its name is echoed in nothing either.
        assert not _secret(answer.body), (path, answer.body)
        seen += answer.status == 200
    assert seen >= 10
    rows = (await one.get("/api/v1/field-history/?page_size=100")).body
    assert [row["field_name"] for row in rows["results"]] == ["assigned_to", *["custom_fields__plain"] * 2]
    assert rows["count"] == 3
    audit = (await one.get(f"/api/v1/audit-trail/?model=lead&object_id={ids['lead']}")).body["results"]
    changes = [row["changes"].get("custom_fields") for row in audit]
    expected = [{"old": {"plain": a}, "new": {"plain": b}} for a, b in (("b", "c"), ("a", "b"))]
    assert changes == [None, *expected, None, None]
    assert audit[-1]["new_values"]["custom_fields"] == {"plain": "a"}
    timeline = (await one.get(f"/api/v1/timeline/lead/{ids['lead']}/")).body["timeline"]
    assert [item.get("changes", {}).get("custom_fields") for item in timeline] == [*expected, None, None]


async def test_an_admin_and_whoever_it_is_for_see_it(rest: Rest) -> None:
    admin, support = await rest.user(), await rest.user(Role.CUSTOMER_SUPPORT)
    ids = await _told(rest, admin)
    for caller in (admin, support):
        for path in (
            f"/api/v1/leads/{ids['lead']}/",
            f"{FIELDS}{ids['field']}/",
            f"{VALUES}{ids['field'] << 40 | ids['lead']}/",
            "/api/v1/field-history/",
            "/api/v1/audit-trail/?model=lead&object_id=" + str(ids["lead"]),
            "/api/v1/timeline/",
        ):
            answer = await caller.get(path)
            assert (answer.status, _secret(answer.body)) == (200, True), path
    named = (await admin.get(f"/api/v1/field-history/?field_name=custom_fields__{NAME}")).body
    assert [(row["old_value"], row["new_value"]) for row in named["results"]] == [
        ("xylophone", "quetzal"),
        ("quetzal", "xylophone"),
    ]
    assert [row["object_repr"] for row in (await admin.get("/api/v1/audit-trail/?model=10")).body["results"]] == [
        "Plain",
        NAME,
    ]


async def test_no_publication_has_it(rest: Rest) -> None:
    await _told(rest, await rest.user())
    published = await rest.pool.fetch("SELECT data FROM events WHERE topic = 'hub.publications'")
    assert published
    assert not any(_secret(row["data"]) for row in published)


@pytest.mark.parametrize("role", [Role.MANAGER, Role.SALES_REP])
async def test_a_refusal_says_what_it_says_of_a_field_that_is_not_there(rest: Rest, role: Role) -> None:
    admin = await rest.user()
    ids = await _told(rest, admin)
    one = await rest.user(role)
    await admin.patch(f"/api/v1/leads/{ids['lead']}/", {"assigned_to": one.id})
    lead = f"/api/v1/leads/{ids['lead']}/"

    async def said(name: str, key: int) -> list[tuple[int, str]]:
        of = {"custom_field": key, "object_id": ids["lead"], "value": "x"}
        bulk = {"model": "lead", "object_id": ids["lead"], "values": {str(key): "x"}}
        value = key << 40 | ids["lead"]
        answers = [
            await one.patch(lead, {"custom_fields": {name: "x"}}),
            await one.patch(lead, {"custom_fields": {name: None}}),
            await one.patch(lead, {"custom_fields": {name: VALUES_OF_IT[0]}}),
            await one.post("/api/v1/leads/", {"custom_fields": {name: "x"}}),
            await one.put(lead, {"custom_fields": {name: "x"}}),
            await one.get(f"/api/v1/leads/?custom_fields__{name}=x"),
            await one.get(f"/api/v1/leads/?ordering=custom_fields__{name}"),
            await one.get(f"{FIELDS}{key}/"),
            await one.patch(f"{FIELDS}{key}/", {"label": "x"}),
            await one.delete(f"{FIELDS}{key}/"),
            await one.post(f"{FIELDS}{key}/validate_value/", {"value": "x"}),
            await one.post(f"{FIELDS}reorder/", {"field_ids": [key]}),
            await one.post(VALUES, of),
            await one.get(f"{VALUES}{value}/"),
            await one.patch(f"{VALUES}{value}/", {"value": "x"}),
            await one.delete(f"{VALUES}{value}/"),
            await one.post(f"{VALUES}bulk_update/", bulk),
            await one.get(f"{VALUES}?custom_field={key}"),
        ]
        texts = [orjson.dumps(answer.body).decode() for answer in answers]
        return [
            (answer.status, text.replace(name, "NAME").replace(str(key), "KEY"))
            for answer, text in zip(answers, texts, strict=True)
        ]

    assert await said(NAME, ids["field"]) == await said("nothing", 987654)
    assert (await admin.get(lead)).body["custom_fields"][NAME] == VALUES_OF_IT[0]
