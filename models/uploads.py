"""Imports and exports: files people bring along and take away, and what became of their rows.

A file is kept in pieces in Postgres, because the worker that reads it may be on another machine than the hub that was
given it. `import_rows` holds its rows as they were read, `import_changes` what an import did to which record, from
which it can be undone.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.users import User

#: Bytes in each piece of a file but the last.
PIECE = 256 * 1024

#: Rows are inserted by millions and read once: plain tables without keys of their own beyond what finds a row.
#: `values` are what is to be stored, by column, with references as the file names them; `sums` are numbers to be added
#: up over rows of the same key. A row has `errors` if it could not be read, `refused` if it could not be kept.
#: `until` is an id of `events` at or after that of the change, below which the last one of the record is the change.
TABLES = """
CREATE TABLE import_pieces (
    import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
    n         integer NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (import_id, n)
);
ALTER TABLE import_pieces ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE import_rows (
    import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
    n         integer NOT NULL,
    cells     text[] NOT NULL,
    values    jsonb NOT NULL,
    sums      jsonb,
    key       text,
    errors    jsonb,
    refused   jsonb,
    PRIMARY KEY (import_id, n)
);
CREATE INDEX import_rows_key ON import_rows (import_id, md5(key), n) WHERE key IS NOT NULL AND errors IS NULL;
CREATE INDEX import_rows_bad ON import_rows (import_id, n) WHERE errors IS NOT NULL OR refused IS NOT NULL;
CREATE TABLE import_changes (
    import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
    n         integer NOT NULL,
    record    bigint NOT NULL,
    created   boolean NOT NULL,
    until     bigint NOT NULL,
    conflict  text,
    PRIMARY KEY (import_id, n)
);
CREATE INDEX crm_leads_email_folded ON crm_leads (lower(email));
CREATE INDEX crm_contacts_email_folded ON crm_contacts (lower(email));
"""


class Import(Model):
    """One file to be imported. It can be used once `detected` says how to read it.

    `job` is the last job on it, whatever it did; `run` the one that wrote records, until they are undone.
    """

    id: Any = columns.key()
    type = fields.CharField(max_length=50, default="", db_default="")
    file_name: str = columns.text(255)
    size: int = fields.BigIntField(default=0, db_default=0)
    detected: Any = columns.mapping()
    options: Any = columns.mapping()
    mapping: Any = columns.mapping()
    job: UUID | None = fields.UUIDField(null=True)
    run: UUID | None = fields.UUIDField(null=True)
    created_by: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="imports", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()

    class Meta:
        table = "imports"


class Export(Model):
    """That somebody took records away: which, narrowed by which parameters, in which fields."""

    id: Any = columns.key()
    type = fields.CharField(max_length=50)
    format = fields.CharField(max_length=10)
    parameters: Any = columns.mapping()
    shown: Any = columns.items()
    created_by: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="exports", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    created_at: Any = columns.created()

    class Meta:
        table = "exports"
