"""Custom fields, and groups of them, under /api/v1/custom-fields/ and /api/v1/custom-field-groups/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.access import Role, Viewer
from models.custom_fields import CustomField, CustomFieldGroup, FieldType
from models.resources.content_types import CUSTOMISED, Customised
from models.resources.custom.defining import Name, Options, Roles, consistent
from models.resources.kinds import SERIAL, Choice, Decimal, Flag, Integer, Moment, Text
from models.resources.mistakes import Invalid
from models.resources.resource import (
    LISTED,
    NAMED,
    NULL,
    READ_ONLY,
    REQUIRED,
    Computed,
    Field,
    Reference,
    Resource,
    Sight,
)
from models.resources.selection import Row
from models.resources.users import USERS

MODEL_NAME = Computed("model_name", ("content_type",), CUSTOMISED.__getitem__, LISTED)

#: Columns that stay as they were defined, and how to change them all the same.
STAYS = {
    "name": "A field keeps its name: values and queries go by it.",
    "content_type": "A field stays with its kind of record.",
    "field_type": "POST to change_type/ to change the type together with the values.",
}


def _seen(viewer: Viewer, row: Mapping[str, Any], at: str) -> bool:
    roles = row[f"{at}visible_to_roles"]
    shown = row[f"{at}is_visible"] and (viewer.role in roles or (row[f"{at}is_public"] and not roles))
    definer = viewer.role in (Role.ADMIN, Role.MANAGER)
    return viewer.role is Role.ADMIN or (shown and (row[f"{at}is_active"] or definer))


def _seen_sql(viewer: Viewer, table: str) -> str:
    if viewer.role is Role.ADMIN:
        return "TRUE"
    active = "" if viewer.role is Role.MANAGER else f" AND {table}.is_active"
    return (
        f"{table}.is_visible{active} AND ({table}.visible_to_roles @> '[\"{viewer.role}\"]'::jsonb"
        f" OR ({table}.is_public AND {table}.visible_to_roles = '[]'))"
    )


def _agree(values: Mapping[str, Any], before: Row | None, viewer: Viewer) -> None:
    """Raise Invalid for columns that do not go together, for a change of what stays, for a field its author loses."""
    if before is not None and (wrong := {n: [said] for n, said in STAYS.items() if values[n] != before[n]}):
        raise Invalid(wrong)
    if not consistent(values).seen_by(viewer.role):
        raise Invalid({"visible_to_roles": ["You would not see this field yourself; an admin may do this."]})


CUSTOM_FIELDS = Resource(
    path="custom-fields",
    entity="custom_field",
    model=CustomField,
    called=Computed("label", ("label",), str),
    author="created_by",
    sight=Sight(("is_visible", "is_public", "is_active", "visible_to_roles"), _seen, _seen_sql),
    agree=_agree,
    order="order,name",
    fields=(
        Field("id", SERIAL, READ_ONLY | LISTED),
        Field("name", Name(), REQUIRED | LISTED),
        Field("label", Text(200), REQUIRED | LISTED),
        Field("field_type", Choice(FieldType), REQUIRED | LISTED),
        Field("help_text", Text(), LISTED),
        Field("placeholder", Text(200), LISTED),
        Field("content_type", Customised(), REQUIRED | LISTED),
        MODEL_NAME,
        Field("is_required", Flag(), LISTED),
        Field("min_length", Integer(), NULL | LISTED),
        Field("max_length", Integer(), NULL | LISTED),
        Field("min_value", Decimal(20, 2), NULL | LISTED),
        Field("max_value", Decimal(20, 2), NULL | LISTED),
        Field("regex_pattern", Text(500), LISTED),
        Field("regex_error_message", Text(200), LISTED),
        Field("options", Options(), LISTED),
        Field("default_value", Text(), LISTED),
        Field("order", Integer(), LISTED),
        Field("is_visible", Flag(), LISTED),
        Field("is_searchable", Flag(), LISTED),
        Field("is_filterable", Flag(), LISTED),
        Field("is_public", Flag(), LISTED),
        Field("visible_to_roles", Roles(), LISTED),
        Field("editable_by_roles", Roles(), LISTED),
        Reference("created_by", USERS, READ_ONLY | LISTED | NAMED),
        Field("is_active", Flag(), LISTED),
        Field("created_at", Moment(), READ_ONLY | LISTED),
        Field("updated_at", Moment(), READ_ONLY | LISTED),
    ),
)

CUSTOM_FIELD_GROUPS = Resource(
    path="custom-field-groups",
    entity="custom_field_group",
    model=CustomFieldGroup,
    called=Computed("name", ("name",), str),
    order="order,name",
    fields=(
        Field("id", SERIAL, READ_ONLY | LISTED),
        Field("name", Text(100), REQUIRED | LISTED),
        Field("description", Text(), LISTED),
        Field("content_type", Customised(), REQUIRED | LISTED),
        MODEL_NAME,
        Field("order", Integer(), LISTED),
        Field("is_collapsible", Flag(), LISTED),
        Field("is_collapsed_by_default", Flag(), LISTED),
        Field("created_at", Moment(), READ_ONLY | LISTED),
        Field("updated_at", Moment(), READ_ONLY | LISTED),
    ),
)
