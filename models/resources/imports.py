"""Files to be imported, under /api/v1/imports/: seen by whoever brought them."""

from __future__ import annotations

from models.resources.kinds import SERIAL, Moment, Object, Text, Uuid
from models.resources.resource import (
    LISTED,
    NULL,
    READ_ONLY,
    Computed,
    Field,
    Reference,
    Resource,
)
from models.resources.users import USERS
from models.uploads import Import

IMPORTS = Resource(
    path="imports",
    entity="import",
    model=Import,
    key=Uuid(),
    called=Computed("called", ("file_name",), str),
    fields=(
        Field("id", Uuid(), READ_ONLY | LISTED),
        Field("type", Text(50), READ_ONLY | LISTED),
        Field("file_name", Text(255), READ_ONLY | LISTED),
        Field("size", SERIAL, READ_ONLY | LISTED),
        Field("detected", Object(), READ_ONLY),
        Field("options", Object(), READ_ONLY),
        Field("mapping", Object(), READ_ONLY),
        Field("job", Uuid(), READ_ONLY | LISTED | NULL),
        Field("run", Uuid(), READ_ONLY | LISTED | NULL),
        Reference("created_by", USERS, READ_ONLY | LISTED | NULL),
        Field("created_at", Moment(), READ_ONLY | LISTED),
        Field("updated_at", Moment(), READ_ONLY | LISTED),
    ),
)
