"""The document for tools that know OpenAPI 3.0 only, as Swagger UI 4 does: the same, less exact where 3.0 is poorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def older(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document in OpenAPI 3.0.3."""
    return {**_of(document), "openapi": "3.0.3"}


def _of(node: Any) -> Any:
    match node:
        case {"type": [*types]}:
            (one, *others) = [name for name in types if name != "null"]
            inner = {key: _of(value) for key, value in node.items() if key != "type"}
            either = {"type": one} if not others else {"anyOf": [{"type": name} for name in (one, *others)]}
            return {**either, **inner, **({"nullable": True} if "null" in types else {})}
        case {"anyOf": [*shapes]} if {"type": "null"} in shapes:
            inner = {key: _of(value) for key, value in node.items() if key != "anyOf"}
            rest = [_of(shape) for shape in shapes if shape != {"type": "null"}]
            return {**inner, "nullable": True, **({"allOf": rest} if len(rest) == 1 else {"anyOf": rest})}
        case {"exclusiveMinimum": low, "exclusiveMaximum": high} if not isinstance(low, bool):
            inner = {key: value for key, value in node.items() if not key.startswith("exclusive")}
            return {**inner, "minimum": low + 1, "maximum": high - 1}
        case Mapping():
            return {key: _of(value) for key, value in node.items()}
        case list():
            return [_of(value) for value in node]
        case _:
            return node
