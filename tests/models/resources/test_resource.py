"""Declarations: they agree with the models, and show what the reference says."""

from __future__ import annotations

from decimal import Decimal as Number
from typing import Any

import pytest
from tortoise import fields
from tortoise.fields.base import OnDelete

from models import database, search
from models.access import Role, Viewer
from models.leads import Lead
from models.resources.catalogue import RESOURCES
from models.resources.contacts import CONTACTS
from models.resources.kinds import SERIAL, Choice, Decimal, Integer, Moment, Text
from models.resources.leads import LEADS
from models.resources.mistakes import Invalid
from models.resources.opportunities import OPPORTUNITIES
from models.resources.resource import LISTED, NULL, READ_ONLY, REQUIRED, SEARCHED, Computed, Field, Reference, Resource
from models.resources.tasks import TASKS
from models.resources.users import USERS

ADMIN = Viewer(id=1, role=Role.ADMIN)

EVERY = (*RESOURCES.values(), USERS)

LISTS = {
    LEADS: """id first_name last_name email phone company_name lead_source status priority lead_score estimated_value
        assigned_to assigned_to_name owner_name created_at updated_at""",
    CONTACTS: """id salutation first_name last_name full_name email phone mobile company_name job_title contact_type
        status assigned_to assigned_to_name created_at updated_at""",
    OPPORTUNITIES: """id name company_name stage amount currency probability weighted_amount expected_close_date
        contact contact_name assigned_to assigned_to_name owner_name created_at updated_at""",
    TASKS: """id title task_type status priority due_date assigned_to assigned_to_name created_by_name created_at
        updated_at""",
    USERS: "id username email full_name",
}

DETAILS = {
    LEADS: """id first_name last_name full_name email phone company_name job_title lead_source status priority
        assigned_to assigned_to_detail owner owner_detail lead_score estimated_value probability last_contact_date
        next_follow_up notes tags custom_fields created_at updated_at converted_at""",
    CONTACTS: """id salutation first_name last_name full_name email phone mobile company_name job_title contact_type
        status assigned_to created_at updated_at department address_line_1 address_line_2 city state postal_code
        country source assigned_to_detail website linkedin twitter notes tags custom_fields created_by
        created_by_detail""",
    OPPORTUNITIES: """id name description company_name stage probability amount currency weighted_amount contact
        contact_detail assigned_to assigned_to_detail owner owner_detail expected_close_date actual_close_date
        last_activity_date notes tags custom_fields created_at updated_at""",
    TASKS: """id title description task_type status priority assigned_to assigned_to_detail created_by
        created_by_detail due_date completed_at reminder_date custom_fields created_at
        updated_at""",
}


class Row(dict[str, Any]):
    """A row in which everything is there: ids are 1, numbers 10, texts x."""

    def __missing__(self, path: str) -> Any:
        return 1 if path.endswith("_id") else Number(10) if path.endswith(("amount", "probability")) else "x"


@pytest.mark.parametrize(("resource", "keys"), LISTS.items(), ids=lambda value: getattr(value, "path", ""))
def test_a_list_shows_what_the_reference_says(resource: Resource, keys: str) -> None:
    assert sorted(resource.show(Row(), ADMIN, listed=True)) == sorted(keys.split())


@pytest.mark.parametrize(("resource", "keys"), DETAILS.items(), ids=lambda value: getattr(value, "path", ""))
def test_a_detail_shows_what_the_reference_says(resource: Resource, keys: str) -> None:
    assert sorted(resource.show(Row(), ADMIN, listed=False)) == sorted(keys.split())


@pytest.mark.parametrize("resource", EVERY, ids=lambda resource: resource.path)
def test_a_row_has_what_is_shown(resource: Resource) -> None:
    for listed in (True, False):
        paths = resource.paths(listed=listed)
        row = {path: value for path, value in ((path, Row()[path]) for path in paths)}
        assert resource.show(row, ADMIN, listed=listed) == resource.show(Row(), ADMIN, listed=listed)


@pytest.mark.parametrize("resource", EVERY, ids=lambda resource: resource.path)
async def test_declarations_agree_with_the_models(resource: Resource) -> None:
    async with database.orm("postgresql://nobody@127.0.0.1:1/none"):
        columns = resource.model._meta.fields_map
    for name, field in resource.stored.items():
        column = columns[field.name]
        assert (NULL in field.use) == column.null or READ_ONLY in field.use, name
        if isinstance(field, Reference):
            assert column.related_model is field.to.model, name  # type: ignore[attr-defined]
            continue
        _agrees(name, field, column)
        given = column.default is not None or column.null or READ_ONLY in field.use
        assert (REQUIRED in field.use) is not given, f"{name}: required, or has a default"


def _agrees(name: str, field: Field, column: Any) -> None:
    match field.kind:
        case Choice(of=words):
            assert column.enum_type is words, name
        case Text(longest=longest):
            assert longest == getattr(column, "max_length", None), name
        case Decimal(digits=digits, places=places):
            assert (digits, places) == (column.max_digits, column.decimal_places), name
        case Moment():
            assert isinstance(column, fields.DatetimeField), name
        case Integer():
            assert isinstance(column, fields.IntField | fields.BigIntField), name


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.path)
async def test_whatever_a_deletion_takes_along_is_declared(resource: Resource) -> None:
    async with database.orm("postgresql://nobody@127.0.0.1:1/none"):
        meta = resource.model._meta
        backwards = [meta.fields_map[name] for name in meta.backward_fk_fields]
    taken = {one.related_model for one in backwards if _forward(one).on_delete == OnDelete.CASCADE}  # type: ignore[attr-defined]
    assert taken == {one.model for one in resource.dependents}


def _forward(backward: Any) -> Any:
    """The foreign key that a reverse relation belongs to."""
    return next(
        field
        for field in backward.related_model._meta.fields_map.values()
        if getattr(field, "source_field", None) == backward.relation_field
    )


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        LEADS.read({"first_name": "", "last_name": None, "status": "x", "colour": 1, "tags": None}, partial=False)
    assert set(refused.value.messages) == {"first_name", "last_name", "email", "status", "colour", "tags"}
    assert "first_name" in refused.value.messages["colour"][0]


def test_only_what_is_named_is_read() -> None:
    assert LEADS.read({"phone": None, "assigned_to": None}, partial=True) == {"phone": "", "assigned_to": None}
    assert LEADS.read({"id": 5, "full_name": "x", "owner_detail": {}}, partial=True) == {}


def test_what_is_fixed_may_be_sent_back_but_not_changed() -> None:
    shown = {"id": 5, "owner": 1, "created_at": None}
    LEADS.unchanged({"id": 5, "owner": 1, "updated_at": "whenever", "full_name": "whoever"}, shown)
    with pytest.raises(Invalid) as refused:
        LEADS.unchanged({"id": 6, "owner": None, "converted_at": "now"}, shown)
    assert set(refused.value.messages) == {"id", "owner", "converted_at"}


def test_a_key_declared_twice_is_refused() -> None:
    name = Field("id", SERIAL, LISTED)
    with pytest.raises(ValueError, match="declared twice: id"):
        Resource(path="x", entity="x", model=Lead, called=Computed("id", ("id",), str), fields=(name, name))


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.path)
def test_what_is_searched_has_documents(resource: Resource) -> None:
    declared = {name for name, field in resource.used(SEARCHED).items() if not isinstance(field, Reference)}
    made = search.SEARCHED[resource.entity]
    assert (made.table, set(made.columns)) == (resource.table, declared)
    assert set(made.called) == set(resource.called.of)
