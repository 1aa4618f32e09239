"""Custom fields: what users add to the fields of records, and how such fields are put in groups.

Here is what a field is. Its values stand in the record's own column `custom_fields`, a JSON object by field name.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.users import User


class FieldType(StrEnum):
    """What kind of value a custom field takes."""

    TEXT = "text"
    TEXTAREA = "textarea"
    NUMBER = "number"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    EMAIL = "email"
    URL = "url"
    PHONE = "phone"
    SELECT = "select"
    MULTISELECT = "multiselect"
    RADIO = "radio"
    CHECKBOX = "checkbox"
    FILE = "file"


class CustomField(Model):
    """One field of one kind of record. An empty list of roles means every role."""

    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=100)
    label = fields.CharField(max_length=200)
    field_type: FieldType = columns.choice(FieldType)
    help_text: str = columns.prose()
    placeholder: str = columns.text(200)
    content_type = fields.IntField()
    is_required: bool = columns.flag(False)
    min_length = fields.IntField(null=True)
    max_length = fields.IntField(null=True)
    min_value: Decimal | None = fields.DecimalField(max_digits=20, decimal_places=2, null=True)
    max_value: Decimal | None = fields.DecimalField(max_digits=20, decimal_places=2, null=True)
    regex_pattern: str = columns.text(500)
    regex_error_message: str = columns.text(200)
    options: Any = columns.items()
    default_value: str = columns.prose()
    order: int = columns.number()
    is_visible: bool = columns.flag(True)
    is_searchable: bool = columns.flag(False)
    is_filterable: bool = columns.flag(False)
    is_public: bool = columns.flag(True)
    visible_to_roles: Any = columns.items()
    editable_by_roles: Any = columns.items()
    is_active: bool = columns.flag(True)
    created_by: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="custom_fields", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()

    class Meta:
        table = "crm_custom_fields"
        unique_together = (("content_type", "name"),)
        constraints = (columns.one_of("crm_custom_fields", "field_type", FieldType),)


class CustomFieldGroup(Model):
    """Some fields of one kind of record that are shown together."""

    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=100)
    description: str = columns.prose()
    content_type = fields.IntField()
    order: int = columns.number()
    is_collapsible: bool = columns.flag(True)
    is_collapsed_by_default: bool = columns.flag(False)
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()

    class Meta:
        table = "crm_custom_field_groups"


class CustomFieldGroupMembership(Model):
    """A field's place in a group."""

    id = fields.BigIntField(primary_key=True)
    group: fields.ForeignKeyRelation[CustomFieldGroup] = fields.ForeignKeyField(
        "models.CustomFieldGroup", related_name="memberships", on_delete=fields.CASCADE
    )
    custom_field: fields.ForeignKeyRelation[CustomField] = fields.ForeignKeyField(
        "models.CustomField", related_name="memberships", on_delete=fields.CASCADE, db_index=True
    )
    order: int = columns.number()

    class Meta:
        table = "crm_custom_field_group_memberships"
        unique_together = (("group", "custom_field"),)


#: Postgres channel on which a new version of the definitions is told.
DEFINITIONS_CHANNEL = "hub_custom_fields"

#: Held shared by whoever writes values until the end of their transaction, alone by whoever changes a definition:
#: so no value is written by a definition that is no more. One advisory lock for all, because definitions change rarely.
_LOCK = 0x5B17CF

VERSION_TABLE = """
CREATE TABLE custom_fields_version (id boolean PRIMARY KEY DEFAULT true CHECK (id), version bigint NOT NULL);
INSERT INTO custom_fields_version (version) VALUES (0)
"""

FUNCTIONS = (
    # Volatile, so that the version is read after the lock was had and not as of the statement's beginning.
    f"""
CREATE FUNCTION hub_custom_fields_are(known bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({_LOCK});
    RETURN (SELECT version = known FROM custom_fields_version);
END $$
""",
    f"""
CREATE FUNCTION hub_custom_fields_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({_LOCK});
    RETURN NULL;
END $$
""",
    f"""
CREATE FUNCTION hub_custom_fields_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE custom_fields_version SET version = version + 1;
    PERFORM pg_notify('{DEFINITIONS_CHANNEL}', '');
    RETURN NULL;
END $$
""",
    # Changes of some values: each key is set, one that is null is removed.
    """
CREATE FUNCTION hub_merged(old jsonb, changes jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT (old || changes) - ARRAY(SELECT key FROM jsonb_each(changes) WHERE value = 'null')
$$
""",
    # Values as they are compared; what is none of the type is null. Immutable, so that they can be indexed.
    """
CREATE FUNCTION hub_custom_text(given jsonb, name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(given ->> name, 500)
$$
""",
    """
CREATE FUNCTION hub_custom_number(given jsonb, name text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN given ->> name ~ '^-?[0-9]{1,40}([.][0-9]{1,40})?$' THEN (given ->> name)::numeric END
$$
""",
    """
CREATE FUNCTION hub_custom_flag(given jsonb, name text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE given -> name WHEN 'true' THEN true WHEN 'false' THEN false END
$$
""",
    """
CREATE FUNCTION hub_custom_date(given jsonb, name text) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN given ->> name ~ '^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
        THEN make_date(substr(given ->> name, 1, 4)::int, substr(given ->> name, 6, 2)::int, 1)
             + substr(given ->> name, 9, 2)::int - 1 END
$$
""",
    """
CREATE FUNCTION hub_custom_datetime(given jsonb, name text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    -- Bound to the other function now: where an index is made, names are looked for nowhere.
    RETURN CASE WHEN given ->> name ~ 'T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z$'
        THEN (hub_custom_date(given, name) + make_time(
            substr(given ->> name, 12, 2)::int, substr(given ->> name, 15, 2)::int,
            rtrim(substr(given ->> name, 18), 'Z')::float8)) AT TIME ZONE 'UTC' END
""",
    # What search looks in of a record's custom fields.
    """
CREATE FUNCTION hub_custom_words(kind int, given jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN given = '{}' THEN '' ELSE (
        SELECT coalesce(string_agg(given ->> f.name, ' ' ORDER BY f.id), '') FROM crm_custom_fields f
        WHERE f.content_type = kind AND f.is_searchable AND f.is_active AND given ? f.name) END
$$
""",
    """
CREATE FUNCTION hub_only(given jsonb, names text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(key, value), '{}')
    FROM jsonb_each(CASE jsonb_typeof(given) WHEN 'object' THEN given ELSE '{}' END) WHERE key = ANY (names)
$$
""",
    # A record's values, as history has them, with these custom fields alone.
    """
CREATE FUNCTION hub_seen_values(given jsonb, names text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN given ? 'custom_fields'
        THEN given || jsonb_build_object('custom_fields', hub_only(given -> 'custom_fields', names)) ELSE given END
$$
""",
    # The same of changes {"field": {"old", "new"}}; custom fields go when none of these has changed.
    """
CREATE FUNCTION hub_seen_changes(given jsonb, names text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN NOT given ? 'custom_fields' THEN given
        WHEN hub_only(given #> '{custom_fields,old}', names) = hub_only(given #> '{custom_fields,new}', names)
        THEN given - 'custom_fields'
        ELSE given || jsonb_build_object('custom_fields', jsonb_build_object(
            'old', hub_only(given #> '{custom_fields,old}', names),
            'new', hub_only(given #> '{custom_fields,new}', names))) END
$$
""",
)

TRIGGERS = (
    """
CREATE TRIGGER custom_fields_lock BEFORE INSERT OR UPDATE OR DELETE ON crm_custom_fields
    FOR EACH STATEMENT EXECUTE FUNCTION hub_custom_fields_lock()
""",
    """
CREATE TRIGGER custom_fields_changed AFTER INSERT OR UPDATE OR DELETE ON crm_custom_fields
    FOR EACH STATEMENT EXECUTE FUNCTION hub_custom_fields_changed()
""",
)
