"""Files that users have uploaded. The bytes lie beside the database, under the hash of what is in them."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.users import User


class File(Model):
    """One upload. It belongs to the one record that refers to it; until one does, to whoever uploaded it."""

    id: Any = columns.key()
    name = fields.CharField(max_length=255)
    size = fields.BigIntField()
    media_type = fields.CharField(max_length=100)
    # Of the content, in hexadecimal.
    sha256 = fields.CharField(max_length=64, db_index=True)
    uploaded_by: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="files", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    # What the record that refers to it is: its kind, its id, and the custom field that does.
    object_type: str = columns.text(50)
    object_id = fields.BigIntField(null=True)
    field: str = columns.text(100)
    # When it was first seen that no record refers to it.
    unused_since: Any = columns.moment()
    created_at: Any = columns.created()

    class Meta:
        table = "crm_files"
