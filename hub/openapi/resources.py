"""A resource's records in the document: their shapes in lists, details and bodies, and the parameters of its list."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from hub import pages
from hub.errors import ChangedMeanwhile, Conflict, Forbidden, Refusal
from hub.etags import IF_MATCH, IF_NONE_MATCH
from hub.openapi.operation import Operation, Parameter
from hub.openapi.parameters import PAGING, compared, equal_to, ordering
from hub.openapi.shapes import OBJECT, Maybe, Named, Shape, fields, nullable, page
from models.resources.custom.changes import COLUMN
from models.resources.filters import FILTER
from models.resources.kinds import STORABLE, Choice, Flag, Schema, Text
from models.resources.mistakes import Mistake
from models.resources.operands import operands
from models.resources.ordering import orders
from models.resources.resource import (
    LISTED,
    NAMED,
    NULL,
    REQUIRED,
    SEARCHED,
    Computed,
    Custom,
    Field,
    Part,
    Reference,
    Resource,
)
from models.resources.searching import SEARCH

#: A change of what the caller has seen, and of nothing else.
MATCHING = Parameter(name=IF_MATCH, place="header", about="The ETag the record must have: 412 if it has another.")

#: In a schema: a text that is not blank; some control characters are blank to us that are none to `\s`.
NOT_BLANK = r"^[^\x00]*[^\x00\s\x1c-\x1f\x85][^\x00]*$"


#: Values of custom fields, whatever is defined.
CUSTOM: Schema = {**OBJECT, "description": "Values of the custom fields that you may see, by their names."}


def listed(resource: Resource) -> Named:
    """A record as lists show it."""
    return _shown(resource, True)


def detailed(resource: Resource) -> Named:
    """A record as a detail shows it."""
    return _shown(resource, False)


@cache
def _shown(resource: Resource, short: bool) -> Named:
    shapes = {name: shape for field in resource.fields for name, shape in _of(resource, field, short)}
    # Of what is shared, others show less than its own list does.
    name = name_of(resource) + ("Reference" if resource.shared else "Item" if short else "")
    return Named(name, fields(shapes))


def name_of(resource: Resource) -> str:
    """What a resource's shapes are called."""
    return "".join(word.capitalize() for word in resource.entity.split("_"))


def _of(resource: Resource, field: Part, short: bool) -> Iterator[tuple[str, Shape | Maybe]]:
    """The keys of a field and their shapes, as `show` of the field gives them."""
    if not short or LISTED in field.use:
        yield field.name, shown(resource, field)
    if isinstance(field, Reference):
        if not short:
            yield f"{field.name}_detail", nullable(listed(field.to))
        elif NAMED in field.use:
            yield f"{field.name}_name", Maybe(field.to.called.kind)


def shown(resource: Resource, field: Part) -> Schema:
    """The value of a resource's field as it is shown: null where its column may be, as after a user was removed."""
    match field:
        case Computed():
            return field.kind.schema(given=False)
        case Custom():
            return CUSTOM
        case Reference():
            of = field.to.key.schema(given=False) | {"description": f"The id of a {field.to.entity}."}
        case Field():
            of = field.kind.schema(given=False)
    return _checked(nullable(of) if resource.model._meta.fields_map[field.name].null else of)


def given(field: Field | Reference) -> Schema:
    """What may be sent as the value of a field."""
    if isinstance(field, Reference):
        of = field.to.key.schema(given=True) | {"description": f"The id of a {field.to.entity}."}
        return _checked(nullable(of)) if NULL in field.use else of
    of = field.kind.schema(given=True)
    if NULL in field.use or (REQUIRED not in field.use and _empty(field)):
        return _checked(nullable(of))
    if REQUIRED in field.use and isinstance(field.kind, Text):
        return {**of, "minLength": 1, **({"pattern": NOT_BLANK} if of.get("pattern") == STORABLE else {})}
    return of


def _empty(field: Field) -> bool:
    """Whether null stands for empty in this field."""
    kind = field.kind
    return (isinstance(kind, Choice) and "" in list(kind.of)) or (isinstance(kind, Text) and _takes_blank(kind))


def _takes_blank(kind: Text) -> bool:
    try:
        kind.read("")
    except Mistake:
        return False
    return True


def _checked(shape: Any) -> Schema:
    assert isinstance(shape, dict)
    return shape


def body(resource: Resource, *, partial: bool) -> Named:
    """What may be sent to create, put (or, `partial`, patch) a record."""
    return _body(resource, partial)


@cache
def _body(resource: Resource, partial: bool) -> Named:
    writable = resource.writable.items()
    shapes = {
        name: given(field) if REQUIRED in field.use and not partial else Maybe(given(field)) for name, field in writable
    }
    if resource.customised:
        shapes[COLUMN] = Maybe(CUSTOM)
    about = "What cannot be set may be sent back as it was received; it is not listed here."
    name = name_of(resource) + ("Changes" if partial else "Input")
    return Named(name, {**fields(shapes), "description": about})


def parameters(resource: Resource) -> tuple[Parameter, ...]:
    """What narrows, orders and parts a resource's list."""
    return (*narrowing(resource), *PAGING)


def narrowing(resource: Resource) -> tuple[Parameter, ...]:
    """What narrows and orders a resource's list."""
    filters = [one for operand in operands(resource).values() for one in compared(operand)]
    presets = equal_to({preset.name: Flag() for preset in resource.presets})
    search = [Parameter(name=SEARCH, about=_SEARCH)] if resource.used(SEARCHED) else []
    return (Parameter(name=FILTER, about=_FILTER), *search, *filters, *presets, ordering(orders(resource)))


def narrowing_refusals(resource: Resource) -> tuple[type[Refusal], ...]:
    """What narrowing its list may refuse: a custom field whose index is not there yet."""
    return (Conflict,) if resource.customised else ()


_SEARCH = "Words, each of which begins a word of the record. The best come first, unless an ordering is given."
_FILTER = (
    "A tree in JSON, of the names below and of `and`, `or` and `not`:"
    ' `{"or": [{"status": "new"}, {"not": {"priority": "low"}}]}`. Names follow references as well, here and as'
    " parameters: `assigned_to__email__icontains`."
)


def index(resource: Resource) -> Operation:
    """The list of a resource."""
    answer = Named(f"{name_of(resource)}List", page(listed(resource)))
    refusals = (*pages.REFUSALS, *narrowing_refusals(resource))
    return Operation(answers={200: answer}, parameters=parameters(resource), refusals=refusals)


def create(resource: Resource) -> Operation:
    """Making a record of it."""
    made = {201: detailed(resource)}
    return Operation(body=body(resource, partial=False), answers=made, refusals=(Forbidden,), idempotent=True)


def retrieve(resource: Resource) -> Operation:
    """One record of it."""
    known = Parameter(name=IF_NONE_MATCH, place="header", about="The ETag one has: 304 if that is what there is.")
    return Operation(answers={200: detailed(resource), 304: None}, path={"id": resource.key}, parameters=(known,))


def change(resource: Resource, *, partial: bool) -> Operation:
    """Changing one."""
    return changing(resource, body(resource, partial=partial))


def changing(resource: Resource, by: Shape | None = None) -> Operation:
    """Changing one by a body of this shape, or by none."""
    return Operation(
        body=fields() if by is None else by,
        bodiless=by is None,
        answers={200: detailed(resource)},
        path={"id": resource.key},
        parameters=(MATCHING,),
        refusals=(Forbidden, ChangedMeanwhile),
    )


def delete(resource: Resource) -> Operation:
    """Removing one."""
    refusals = (Forbidden, ChangedMeanwhile)
    return Operation(answers={204: None}, path={"id": resource.key}, parameters=(MATCHING,), refusals=refusals)
