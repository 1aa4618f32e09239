"""Shapes of JSON: what handlers say of their bodies and answers, in JSON Schema.

Where a shape is asked for, a kind of value will do as well: it stands for how such a value is shown. A Named shape is
written once in the document, and referred to wherever it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.resources.kinds import Flag, Integer, Kind, Schema, Text


@dataclass(frozen=True, eq=False)
class Named:
    """A shape that has a name of its own in the document. Its schema may hold others."""

    name: str
    schema: Schema


@dataclass(frozen=True)
class Maybe:
    """A field that is not always there."""

    shape: Shape


Shape = Schema | Kind | Named

TEXT: Schema = {"type": "string"}
NUMBER = Integer(-(2**63), 2**64 - 1)
COUNT = Integer(0, 2**63 - 1)
FLAG = Flag()
#: The bytes of a file, in a body of several parts or as an answer.
BYTES: Schema = {"type": "string", "format": "binary"}
#: Any JSON at all.
ANYTHING: Schema = {}
#: Any JSON object.
OBJECT: Schema = {"type": "object"}


def schema(shape: Shape | Maybe) -> Schema | Named:
    """The schema of a shape."""
    match shape:
        case Maybe():
            return schema(shape.shape)
        case dict() | Named():
            return shape
        case _:
            return shape.schema(given=False)


def fields(_shapes: Mapping[str, Shape | Maybe] | None = None, **shapes: Shape | Maybe) -> Schema:
    """An object with exactly these fields; they are named in a mapping where their names are no identifiers."""
    every = {**(_shapes or {}), **shapes}
    required = [name for name, shape in every.items() if not isinstance(shape, Maybe)]
    return {
        "type": "object",
        "properties": {name: schema(shape) for name, shape in every.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def added(to: Named, _shapes: Mapping[str, Shape | Maybe] | None = None, **shapes: Shape | Maybe) -> Schema:
    """An object with further fields, or other ones under their names."""
    more = fields(_shapes, **shapes)
    required = list(dict.fromkeys([*to.schema.get("required", ()), *more.get("required", ())]))
    return {
        **to.schema,
        "properties": {**to.schema["properties"], **more["properties"]},
        **({"required": required} if required else {}),
    }


def many(shape: Shape) -> Schema:
    """A list of them."""
    return {"type": "array", "items": schema(shape)}


def by_name(shape: Shape) -> Schema:
    """An object that has one of them under each of its keys."""
    return {"type": "object", "additionalProperties": schema(shape)}


def nullable(shape: Shape) -> Schema:
    """One of them, or null."""
    of = schema(shape)
    if isinstance(of, Named) or "type" not in of or "enum" in of:
        return {"anyOf": [of, {"type": "null"}]}
    types = of["type"] if isinstance(of["type"], list) else [of["type"]]
    return of | {"type": [*types, "null"]}


def either(*shapes: Shape) -> Schema | Named:
    """Any one of them."""
    unlike: list[Schema | Named] = []
    for one in map(schema, shapes):
        if one not in unlike:
            unlike.append(one)
    return unlike[0] if len(unlike) == 1 else {"anyOf": unlike}


def page(of: Shape) -> Schema:
    """What a list answers, page by page."""
    address: Schema = {"type": ["string", "null"], "format": "uri"}
    return fields(count=nullable(COUNT), next=address, previous=address, results=many(of))


#: A sentence for the client, under a name.
DETAIL, ERROR = Named("Refusal", fields(detail=Text())), Named("Error", fields(error=Text()))
#: Sentences by field name.
MISTAKES = Named(
    "Mistakes",
    {"type": "object", "additionalProperties": many(TEXT), "minProperties": 1, "description": "Messages by field."},
)


def definitions(node: Any, found: dict[str, Any]) -> Any:
    """The same with a reference for each Named shape, which is put into `found` by its name.

    Raises ValueError if two shapes have one name.
    """
    match node:
        case Named(name=name):
            return {"$ref": f"#/components/schemas/{_defined(node, name, found)}"}
        case Mapping():
            return {key: definitions(value, found) for key, value in node.items()}
        case str():
            return node
        case Sequence():
            return [definitions(value, found) for value in node]
        case _:
            return node


def _defined(shape: Named, name: str, found: dict[str, Any]) -> str:
    if name not in found:
        found[name] = {}  # it may hold itself
        found[name] = {"title": name, **definitions(shape.schema, found)}
    elif found[name] and found[name] != {"title": name, **definitions(shape.schema, found)}:
        raise ValueError(f"Two shapes have the name {name}.")
    return name
