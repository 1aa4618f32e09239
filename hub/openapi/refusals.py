"""What a route may refuse, in the document: by status, in the shapes of `hub/errors.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hub.errors import (
    Forbidden,
    KeyReused,
    Malformed,
    NotFound,
    Refusal,
    TokenNotValid,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from hub.openapi.operation import Content, Key, Operation
from hub.openapi.shapes import MISTAKES, Shape, either
from hub.requests import Who
from models.resources.kinds import Schema

#: Headers that a refusal has, by status.
HEADERS: dict[int, dict[str, Schema]] = {
    401: {"WWW-Authenticate": {"type": "string"}},
    429: {"Retry-After": {"type": "integer"}},
    503: {"Retry-After": {"type": "integer"}},
}


def responses(operation: Operation, who: Who, *, in_path: bool) -> dict[str, Any]:
    """The responses that refuse, by status; `in_path` says whether the path has parameters."""
    shapes: dict[int, list[Shape]] = {}
    said: dict[int, list[str]] = {}
    if _checks(operation):
        shapes[400], said[400] = [MISTAKES], ["What is wrong, by field."]
    for one in _refusals(operation, who, in_path=in_path):
        shapes.setdefault(one.status, []).append(one.shape)
        said.setdefault(one.status, []).append(_sentence(one))
    for status in shapes.keys() & operation.answers.keys():
        answer = operation.answers[status]
        assert answer is not None
        assert not isinstance(answer, Content | tuple)
        shapes[status].append(answer)
    return {
        str(status): {
            "description": " Or: ".join(dict.fromkeys(said[status])),
            "headers": {name: {"schema": of, "required": True} for name, of in HEADERS.get(status, {}).items()},
            "content": {"application/json": {"schema": either(*several)}},
        }
        for status, several in shapes.items()
    }


def _checks(operation: Operation) -> bool:
    """Whether there are fields or parameters to be wrong. The server API says what is wrong in its own way."""
    if operation.key is Key.API or operation.stream:
        return False
    return bool(operation.parameters) or operation.body is not None or operation.idempotent


def _refusals(operation: Operation, who: Who, *, in_path: bool) -> Iterator[type[Refusal]]:
    yield from operation.refusals
    if who.signed_in or operation.key is Key.OPTIONAL:
        yield from (Unauthenticated, TokenNotValid)
    if who.roles:
        yield Forbidden
    if in_path:
        yield NotFound
    if operation.body is not None:
        yield TooLarge
        if not isinstance(operation.body, Content):
            yield Malformed
    if operation.idempotent:
        yield from (KeyReused, Forbidden)
    if who.signed_in or not who.lasting:
        yield Unavailable
    if who.rated and (who.signed_in or not who.lasting):
        yield TooMany


def _sentence(refusal: type[Refusal]) -> str:
    return (refusal.__doc__ or "").strip().splitlines()[0]
