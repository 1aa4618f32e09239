"""Access: the three readers of the rules agree, and the rules say what they should."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tortoise.models import Model

from models.access import RULES, Action, Audience, Role, Viewer, audience, may, visible_sql
from models.contacts import Contact
from models.leads import Lead
from models.opportunities import Opportunity
from models.tasks import Task
from models.users import User
from tests.examples import examples
from tests.models.conftest import Store

TABLES: dict[str, type[Model]] = {
    "lead": Lead,
    "contact": Contact,
    "opportunity": Opportunity,
    "task": Task,
    "user": User,
}

#: Every way a record of three users' can lie: owner or author, assignee.
PEOPLE = (1, 2, 3)
MAYBE = (None, *PEOPLE)

viewers = st.builds(Viewer, id=st.sampled_from((*PEOPLE, 4)), role=st.sampled_from(Role))


@pytest.fixture
async def records(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All combinations of owner and assignee, of each entity, as rows."""
    for number in (*PEOPLE, 4):
        await store.user(f"u{number}")
    contact = await Contact.create(first_name="a", last_name="b", email="first")
    for one in MAYBE:
        for other in MAYBE:
            who: dict[str, Any] = {"owner_id": one, "assigned_to_id": other}
            made: dict[str, Any] = {"created_by_id": one, "assigned_to_id": other}
            await Lead.create(first_name="a", last_name="b", email="c", **who)
            await Contact.create(first_name="a", last_name="b", email=f"{one}-{other}", **made)
            await Opportunity.create(name="o", contact=contact, amount=1, expected_close_date="2030-01-01", **who)
            if other is not None:
                await Task.create(title="t", **made)
    rows = {entity: await model.all().values() for entity, model in TABLES.items()}
    assert {entity: len(rows[entity]) for entity in rows} == {
        "lead": 16,
        "contact": 17,
        "opportunity": 16,
        "task": 12,
        "user": 4,
    }
    return rows


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(viewer=viewers, entity=st.sampled_from(sorted(TABLES)))
async def test_one_record_a_query_and_an_audience_agree(
    store: Store, records: dict[str, list[dict[str, Any]]], viewer: Viewer, entity: str
) -> None:
    model = TABLES[entity]
    permitted = {row["id"] for row in records[entity] if may(viewer, Action.READ, entity, row)}
    every = f"SELECT id FROM {model._meta.db_table} AS t WHERE "
    queried = {row["id"] for row in await store.pool.fetch(every + visible_sql(viewer, entity, "t"))}
    given_id = visible_sql(viewer, entity, "t", me=f"coalesce($1::int, {viewer.id})")
    raw = {row["id"] for row in await store.pool.fetch(every + given_id + " AND $1::int IS NULL", None)}
    admitted = {row["id"] for row in records[entity] if audience(entity, row).admits(viewer)}
    assert permitted == queried == raw == admitted
    assert may(viewer, Action.READ, entity) or not permitted


columns = {"owner_id": st.sampled_from(MAYBE), "assigned_to_id": st.sampled_from(MAYBE)}
rows = st.fixed_dictionaries(
    {
        **columns,
        "created_by_id": st.sampled_from(MAYBE),
        "user_id": st.sampled_from(PEOPLE),
        "actor_id": columns["owner_id"],
    }
    | {"id": st.sampled_from(PEOPLE)}
)


@given(before=rows, after=rows, entity=st.sampled_from([*sorted(RULES), "login"]), viewer=viewers)
def test_who_lost_sight_is_who_saw_before_and_does_not_now(
    before: dict[str, Any], after: dict[str, Any], entity: str, viewer: Viewer
) -> None:
    was, now = audience(entity, before), audience(entity, after)
    lost = was.minus(now)
    assert lost.admits(viewer) == (was.admits(viewer) and not now.admits(viewer))
    assert was.admits(viewer) == may(viewer, Action.READ, entity, before)
    assert Audience.parse(lost.json()) == lost
    assert was.minus(was).nobody


@given(row=rows, entity=st.sampled_from([*sorted(RULES), "login"]), viewer=viewers, action=st.sampled_from(Action))
def test_whoever_may_write_a_record_may_read_it(
    row: dict[str, Any], entity: str, viewer: Viewer, action: Action
) -> None:
    if may(viewer, action, entity, row):
        assert may(viewer, Action.READ, entity, row)
    if viewer.role is Role.ADMIN or (viewer.role is Role.MANAGER and Role.MANAGER not in RULES.get(entity, {})):
        assert may(viewer, action, entity, row)


@pytest.mark.parametrize(
    ("role", "entity", "columns", "reads", "writes"),
    [
        (Role.SALES_REP, "lead", {"owner_id": 1, "assigned_to_id": 2}, True, True),
        (Role.SALES_REP, "lead", {"owner_id": 2, "assigned_to_id": 1}, True, True),
        (Role.SALES_REP, "lead", {"owner_id": 2, "assigned_to_id": None}, True, True),
        (Role.SALES_REP, "opportunity", {"owner_id": 2, "assigned_to_id": 3}, False, False),
        (Role.SALES_REP, "contact", {"created_by_id": 2, "assigned_to_id": None}, True, True),
        (Role.SALES_REP, "contact", {"created_by_id": 2, "assigned_to_id": 3}, False, False),
        (Role.SALES_REP, "task", {"created_by_id": 1, "assigned_to_id": 3}, True, True),
        (Role.SALES_REP, "task", {"created_by_id": 2, "assigned_to_id": 3}, False, False),
        (Role.MARKETING, "lead", {"owner_id": 2, "assigned_to_id": 3}, True, False),
        (Role.MARKETING, "contact", {"created_by_id": 2, "assigned_to_id": 3}, True, True),
        (Role.MARKETING, "opportunity", {"owner_id": 1, "assigned_to_id": 1}, False, False),
        (Role.MARKETING, "task", {"created_by_id": 2, "assigned_to_id": 1}, True, True),
        (Role.MARKETING, "task", {"created_by_id": 2, "assigned_to_id": 3}, False, False),
        (Role.CUSTOMER_SUPPORT, "contact", {"created_by_id": 2, "assigned_to_id": 3}, True, True),
        (Role.CUSTOMER_SUPPORT, "task", {"created_by_id": 2, "assigned_to_id": 3}, True, True),
        (Role.CUSTOMER_SUPPORT, "lead", {"owner_id": 1, "assigned_to_id": 1}, True, False),
        (Role.CUSTOMER_SUPPORT, "opportunity", {"owner_id": 2, "assigned_to_id": 3}, True, False),
        (Role.VIEWER, "lead", {"owner_id": 1, "assigned_to_id": 1}, True, False),
        (Role.VIEWER, "task", {"created_by_id": 1, "assigned_to_id": 1}, True, False),
        (Role.VIEWER, "login", {}, False, False),
        (Role.SALES_REP, "user", {"id": 1}, True, False),
        (Role.SALES_REP, "user", {"id": 2}, False, False),
        (Role.MANAGER, "login", {}, True, True),
        (Role.MANAGER, "user", {"id": 2}, True, False),
        (Role.ADMIN, "user", {"id": 2}, True, True),
        (Role.MANAGER, "account_action", {"user_id": 2}, False, False),
        (Role.MANAGER, "account_action", {"user_id": 1}, True, False),
    ],
)
def test_the_rules_by_name(role: Role, entity: str, columns: dict[str, Any], reads: bool, writes: bool) -> None:
    viewer = Viewer(id=1, role=role)
    assert may(viewer, Action.READ, entity, columns) is reads
    assert may(viewer, Action.UPDATE, entity, columns) is writes
    assert may(viewer, Action.DELETE, entity, columns) is writes


def test_a_role_counts_when_a_record_is_assigned() -> None:
    """Who is assigned a deal but has moved to marketing sees no deals."""
    row = {"owner_id": 1, "assigned_to_id": 2}
    told = audience("opportunity", row)
    assert told.json() == {
        "roles": ["admin", "customer_support", "manager", "viewer"],
        "users": {"sales_rep": [1, 2]},
    }
    assert told.admits(Viewer(id=2, role=Role.SALES_REP))
    assert not told.admits(Viewer(id=2, role=Role.MARKETING))


def test_a_record_to_be_created_may_leave_out_what_is_null() -> None:
    rep = Viewer(id=1, role=Role.SALES_REP)
    assert may(rep, Action.CREATE, "lead", {"owner_id": 1})
    assert may(rep, Action.CREATE, "lead", {})
    assert not may(rep, Action.CREATE, "task", {"assigned_to_id": 2})
    assert not may(Viewer(id=1, role=Role.VIEWER), Action.CREATE, "lead", None)
    with pytest.raises(KeyError):
        may(rep, Action.READ, "lead", {})


@pytest.mark.parametrize(
    "text", [b"{}", b"[]", b"nonsense", b'{"roles": ["king"]}', b'{"roles": 7}', b'{"roles": [], "users": []}']
)
def test_what_is_no_audience_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not an audience"):
        Audience.parse(text)
