"""What a handler says of itself: what may be sent to it and what it answers.

    @documented(Operation(body=BODY, answers={200: TOKENS}, refusals=(Conflict,)))
    async def convert(request): ...

Summary and description are the handler's docstring. Who may call, the parameters in the path, and what every handler
may answer (401, 403, 404, 413, 429, 503) follow from the route. A method whose object decides gives a function from
that object to the operation instead. A handler behind a wrapper is found by `functools.wraps`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from hub.errors import Refusal
from hub.openapi.shapes import TEXT, Shape


class Key(Enum):
    """How a caller shows who they are, where the route does not say it."""

    #: As the route says: an access token, or nothing at all.
    OF_ROUTE = "route"
    #: The key of the server API.
    API = "apiKey"
    #: An access token, which may be left out.
    OPTIONAL = "optional"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Something in the query string or a header."""

    name: str
    shape: Shape = field(default_factory=lambda: TEXT)
    about: str = ""
    required: bool = False
    place: str = "query"


@dataclass(frozen=True)
class Content:
    """An answer or a body that is no JSON."""

    type: str
    shape: Shape = field(default_factory=lambda: TEXT)


#: Several contents are those a client may choose from; None is an answer without a body.
Answer = Shape | Content | tuple[Content, ...] | None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What may be sent and what is answered."""

    #: By status.
    answers: Mapping[int, Answer]
    body: Shape | Content | None = None
    #: Whether the body may be left out.
    bodiless: bool = False
    parameters: tuple[Parameter, ...] = ()
    #: Shapes of the parameters in the path that are no serial numbers.
    path: Mapping[str, Shape] = field(default_factory=dict)
    #: Refusals beside those that follow from the route. Mistakes in fields (400) follow from parameters and body.
    refusals: tuple[type[Refusal], ...] = ()
    #: Whether it takes an Idempotency-Key.
    idempotent: bool = False
    key: Key = Key.OF_ROUTE
    #: Why no client generated from the document can use it: a socket or a stream.
    stream: str = ""


Declared = Operation | Callable[[Any], Operation]
H = TypeVar("H", bound=Callable[..., Any])


class UndocumentedError(Exception):
    """A handler says nothing of itself."""


def documented(declared: Declared) -> Callable[[H], H]:
    """Say of a handler what may be sent to it and what it answers."""

    def put(handler: H) -> H:
        handler.__dict__["operation"] = declared
        return handler

    return put


def operation_of(handler: Callable[..., Any]) -> tuple[Operation, str]:
    """What a handler says of itself, and its docstring. Raises UndocumentedError."""
    inner = inspect.unwrap(handler)
    declared: Declared | None = getattr(inner, "operation", None)
    if isinstance(declared, Operation):
        return declared, inspect.getdoc(inner) or ""
    if declared is None:
        raise UndocumentedError(
            f"{inner.__module__}.{inner.__qualname__} does not say what it takes and answers. Write above it:"
            " @documented(Operation(body=..., answers={200: ...})), as hub/openapi/operation.py explains."
        )
    return declared(inner.__self__), inspect.getdoc(inner) or ""
