"""Files that people bring along and take away."""

from typing import Any
from uuid import uuid4

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.fields.db_defaults import Now, SqlDefault
from tortoise.migrations import operations as ops
from tortoise.migrations.operations import RunSQL

from models.capture import statements, touch
from models.uploads import TABLES


def key() -> tuple[str, Any]:
    gen = SqlDefault("gen_random_uuid()")
    return "id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True, db_default=gen)


def json(name: str, default: type) -> tuple[str, Any]:
    empty = SqlDefault("'[]'" if default is list else "'{}'")
    return name, fields.JSONField(default=default, db_default=empty, encoder=JSON_DUMPS, decoder=loads)


def created_by(related: str) -> tuple[str, Any]:
    return "created_by", fields.ForeignKeyField(
        "models.User",
        source_field="created_by_id",
        null=True,
        db_index=True,
        db_constraint=True,
        to_field="id",
        related_name=related,
        on_delete=OnDelete.SET_NULL,
    )


class Migration(migrations.Migration):
    dependencies = [("models", "0009_actions")]  # noqa: RUF012
    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="Import",
            fields=[
                key(),
                ("type", fields.CharField(default="", db_default="", max_length=50)),
                ("file_name", fields.CharField(default="", db_default="", max_length=255)),
                ("size", fields.BigIntField(default=0, db_default=0)),
                json("detected", dict),
                json("options", dict),
                json("mapping", dict),
                ("job", fields.UUIDField(null=True)),
                ("run", fields.UUIDField(null=True)),
                created_by("imports"),
                ("created_at", fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
                ("updated_at", fields.DatetimeField(db_default=Now(), auto_now=True, auto_now_add=False)),
            ],
            options={"table": "imports", "app": "models", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Export",
            fields=[
                key(),
                ("type", fields.CharField(max_length=50)),
                ("format", fields.CharField(max_length=10)),
                json("parameters", dict),
                json("shown", list),
                created_by("exports"),
                ("created_at", fields.DatetimeField(db_default=Now(), auto_now=False, auto_now_add=True)),
            ],
            options={"table": "exports", "app": "models", "pk_attr": "id"},
            bases=["Model"],
        ),
        RunSQL([statement.strip() for statement in TABLES.split(";") if statement.strip()]),
        RunSQL([*statements("exports"), touch("imports")]),
    ]
