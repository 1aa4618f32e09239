"""Filtering and ordering by custom fields: what is compared, and the indexes that make it fast.

A field that is filterable has its own indexes, on the expressions that conditions and orders use. A job makes them
without holding up writers; until they are there, filtering by the field is refused rather than slow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from models.access import Role, Viewer
from models.custom_fields import FieldType
from models.resources.content_types import CUSTOMISED
from models.resources.custom.changes import COLUMN
from models.resources.custom.definition import Definition
from models.resources.custom.definitions import Definitions
from models.resources.kinds import Day, Decimal, Flag, Kind, Moment, Tags, Text
from models.resources.mistakes import NotReady
from models.resources.operands import STEP, More, Operand

#: The kind of the job that makes and drops a field's indexes; its parameter is `field`, the id.
JOB = "custom_field_index"


@dataclass(frozen=True)
class Compared:
    """How values of a type are compared."""

    kind: Kind
    #: The function that gives a value of the type, or null.
    function: str


#: Characters of a text that are compared; its index could not take many more.
COMPARED_TEXT = 500

_TEXT = Compared(Text(COMPARED_TEXT), "hub_custom_text")
_NUMBER = Compared(Decimal(22, 2), "hub_custom_number")
_SEVERAL = Compared(Tags(), "")

COMPARED: Mapping[FieldType, Compared] = {
    FieldType.TEXT: _TEXT,
    FieldType.EMAIL: _TEXT,
    FieldType.URL: _TEXT,
    FieldType.PHONE: _TEXT,
    FieldType.SELECT: _TEXT,
    FieldType.RADIO: _TEXT,
    FieldType.NUMBER: _NUMBER,
    FieldType.DECIMAL: _NUMBER,
    FieldType.BOOLEAN: Compared(Flag(), "hub_custom_flag"),
    FieldType.DATE: Compared(Day(), "hub_custom_date"),
    FieldType.DATETIME: Compared(Moment(), "hub_custom_datetime"),
    FieldType.MULTISELECT: _SEVERAL,
    FieldType.CHECKBOX: _SEVERAL,
}


def more(definitions: Definitions, viewer: Viewer) -> More:
    """What the viewer can filter and order by beside the declared fields."""
    return _more(definitions, viewer.role)


@lru_cache(maxsize=64)
def _more(definitions: Definitions, role: Role) -> More:
    return {
        entity: {
            f"{COLUMN}{STEP}{field.name}": _operand(field)
            for field in definitions.seen(entity, role).values()
            if field.filterable and field.type in COMPARED
        }
        for entity in CUSTOMISED.values()
    }


def indexes(field: Definition) -> dict[str, str]:
    """The indexes that a field needs, by name: what stands behind the table in CREATE INDEX."""
    if not (field.active and field.filterable and field.type in COMPARED):
        return {}
    value = _expression(field, "")
    of = f"{prefix(field.id)}{field.type}"
    if COMPARED[field.type] is _SEVERAL:
        return {of: f"USING gin (({value}) jsonb_path_ops)"}
    if COMPARED[field.type] is _TEXT:
        return {of: f"USING hash (({value}))", f"{of}_folded": f'((hub_fold({value}) COLLATE "C"), id)'}
    return {of: f"(({value}), id)"}


def prefix(field: int) -> str:
    """What the names of a field's indexes begin with."""
    return f"crm_custom_{field}_"


def ready(field: Definition) -> bool:
    """Whether a field has all the indexes it needs."""
    return indexes(field).keys() <= field.indexes


def settled(field: Definition) -> bool:
    """Whether a field has the indexes it needs and no others."""
    return indexes(field).keys() == field.indexes


def _operand(field: Definition) -> Operand:
    name = f"{COLUMN}{STEP}{field.name}"
    return Operand(path=name, kind=COMPARED[field.type].kind, sql=_sql(field, name))


def _sql(field: Definition, name: str) -> Callable[[str], str]:
    def sql(alias: str) -> str:
        if not ready(field):
            raise NotReady(field.id, name)
        return _expression(field, f'"{alias}".')

    return sql


def _expression(field: Definition, at: str) -> str:
    """Its value in SQL. A field's name is an identifier, so it needs no quoting."""
    function = COMPARED[field.type].function
    return f"{function}({at}{COLUMN}, '{field.name}')" if function else f"{at}{COLUMN} -> '{field.name}'"
