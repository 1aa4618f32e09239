"""Imports in the document: the files that are sent, what is chosen about them, and what becomes of their rows."""

from __future__ import annotations

from hub.openapi.operation import Content
from hub.openapi.resources import detailed
from hub.openapi.shapes import (
    BYTES,
    COUNT,
    FLAG,
    OBJECT,
    TEXT,
    Maybe,
    Named,
    Shape,
    added,
    by_name,
    either,
    fields,
    many,
    nullable,
)
from models.imports import plan
from models.imports.detection import ENCODINGS, Order, Point
from models.imports.mapping import MOST_PLACES, TAKES
from models.resources.imports import IMPORTS
from models.resources.jobs import JOBS
from models.resources.kinds import Choice, Integer, Schema, Uuid

#: What records of a file can be.
TYPE: Schema = {**TEXT, "enum": [*plan.TYPES]}

CHOSEN = {
    name: Maybe({**TEXT, "enum": [*plan.WORDS[name]]} if name in plan.WORDS else kind.schema(given=True))
    for name, kind in {**plan.CHOICES, **plan.FORM}.items()
}

_CHANGES = {
    "take": Maybe({**TEXT, "enum": ["", *TAKES]}),
    "map": Maybe(by_name(TEXT)),
    "default": Maybe(TEXT),
    "sum": Maybe(FLAG),
    "round": Maybe(Integer(0, MOST_PLACES)),
}
RULE = Named(
    "ImportRule",
    {
        "anyOf": [fields(_CHANGES, column=TEXT), fields(_CHANGES, template=TEXT), fields(value={})],
        "description": "Where the value of a field comes from: a column, cells in a text, or the same for every row.",
    },
)
MAPPING = Named(
    "ImportMapping",
    {
        **by_name(either(RULE, TEXT)),
        "minProperties": 1,
        "description": "Rules by field; or, where the rule is a text, fields by column.",
    },
)

DETECTED = fields(
    format={**TEXT, "enum": ["csv", "xlsx"]},
    encoding={**TEXT, "enum": [*ENCODINGS]},
    delimiter=TEXT,
    header=FLAG,
    dates=Choice(Order),
    decimal=Choice(Point),
    columns=many(TEXT),
    lines=COUNT,
    rows=many(many(TEXT)),
)
PREVIEW = many(fields(row=COUNT, values=OBJECT, errors=by_name(TEXT)))
IMPORT = Named(
    "Import",
    added(
        detailed(IMPORTS),
        detected={**OBJECT, "anyOf": [DETECTED, fields()], "description": "Empty until the file is received."},
        options=fields(CHOSEN),
        job_detail=nullable(detailed(JOBS)),
        problems=by_name(many(TEXT)),
        preview=PREVIEW,
    ),
)
CHANGES = Named("ImportChanges", fields(mapping=Maybe(MAPPING), options=Maybe(fields(CHOSEN))))

BAD_ROW = fields(row=COUNT, error=TEXT, data=by_name(TEXT))
_DONE: dict[str, Shape | Maybe] = {
    "success": FLAG,
    "imported": COUNT,
    "errors": COUNT,
    "error_details": many(BAD_ROW),
    "error": Maybe(TEXT),
    "result": OBJECT,
    "import": Uuid(),
    "job": Uuid(),
}
DONE = Named("ImportDone", fields(_DONE))
BEGUN = Named("ImportBegun", fields({"import": Uuid(), "job": detailed(JOBS)}))


def upload(**more: Shape) -> Content:
    """A body with a file and what is chosen about it, all of it as fields of a form."""
    mapping = Maybe({**TEXT, "description": "An ImportMapping, as JSON."})
    return Content("multipart/form-data", fields(CHOSEN, **more, file=BYTES, mapping=mapping))
