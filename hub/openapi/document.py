"""The OpenAPI 3.1 document of the routes: a function from what is declared, and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from hub.errors import Handler
from hub.openapi import refusals
from hub.openapi.operation import Answer, Content, Key, Operation, Parameter, UndocumentedError, operation_of
from hub.openapi.shapes import Named, Shape, definitions, schema
from hub.requests import Who
from hub.version import VERSION
from models.resources.kinds import SERIAL, Schema, Text

#: The last word of an operation's id, by method; the original API's clients know them so.
VERBS = {"POST": "create", "PUT": "update", "PATCH": "partial_update", "DELETE": "destroy", "OPTIONS": "options"}

SERVER_API = "server API"

#: A parameter of a path as aiohttp has it.
PLACE = re.compile(r"\{(\w+)(?::([^{}]+))?\}")

ABOUT = """Everything that can be asked of Switchboard over HTTP. Sign in with `POST /api/auth/login/` and send the
access token as `Authorization: Bearer <token>`; the server API takes its own key as `X-API-Key`.

Paths end in a slash that may be left out. What happens is pushed over WebSockets and streams, which are listed here
and described in `docs/operating.md`. Creating requests may be repeated under one `Idempotency-Key`.
"""

SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The key of the server API; `Authorization: apikey <key>` and `?api_key=` will do as well.",
    },
}

IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    shape={"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
    about="A repeat with the same key within 24 hours is answered with the first answer.",
    place="header",
)


class Route(Protocol):
    """What is documented of a route."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def handler(self) -> Handler: ...
    @property
    def who(self) -> Who: ...


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document. Raises UndocumentedError that names a route whose handler says nothing of itself."""
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, None] = {}
    for route in routes:
        told = _operation(route)
        tags |= dict.fromkeys(told["tags"])
        paths.setdefault(template(route.path), {})[route.method.lower()] = told
    named: dict[str, Any] = {}
    paths = definitions(paths, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Switchboard", "version": VERSION, "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in tags],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(named.items())),
            "securitySchemes": SECURITY,
            "headers": {
                "X-Request-ID": {
                    "description": "The request's id, in the log and on every change it made.",
                    "schema": {"type": "string", "format": "uuid"},
                }
            },
        },
    }


def template(path: str) -> str:
    """A path as OpenAPI writes it: without the expressions of its parameters."""
    return PLACE.sub(r"{\1}", path)


def operation_id(method: str, path: str, lists: bool) -> str:
    """The name of an operation in clients, such as `leads_partial_update`."""
    prefix = "/server/" if tag(path) == SERVER_API else "/"
    within = PLACE.sub("", path).replace("/api/v1/", prefix).replace("/api/", prefix)
    words = [word for word in within.split("/") if word] or ["api" if path.startswith("/api/") else "index"]
    verb = VERBS.get(method) or ("list" if lists else "retrieve")
    return re.sub(r"\W", "_", "_".join([*words, verb]))


def tag(path: str) -> str:
    """The chapter a path stands in."""
    match path.strip("/").split("/"):
        case ["api", "v1", name, *_] | ["api", "core" as name, *_]:
            return name
        case ["api", "auth", *_]:
            return "accounts"
        case ["api", "v1" | "schema" | "docs" | "redoc", *_]:
            return "this document"
        case ["api", _]:
            return SERVER_API
        case ["api", name, *_]:
            return name
        case ["ws" | "connection" | "emulation", *_]:
            return "sockets and streams"
        case _:
            return "the node"


def _operation(route: Route) -> dict[str, Any]:
    try:
        told, doc = operation_of(route.handler)
    except UndocumentedError as error:
        raise UndocumentedError(f"{route.method} {route.path}: {error}") from None
    summary, _, more = doc.partition("\n\n")
    parameters = [*_in_path(route.path, told), *told.parameters, *([IDEMPOTENCY_KEY] if told.idempotent else [])]
    answers = {str(status): _answer(of) for status, of in told.answers.items()}
    every = answers | refusals.responses(told, route.who, in_path="{" in route.path)
    return {
        "operationId": operation_id(route.method, route.path, lists=_lists(told)),
        "tags": [tag(route.path)],
        "summary": " ".join(summary.split()),
        **({"description": description} if (description := _about(more, route.who, told)) else {}),
        **({"parameters": [_parameter(one) for one in parameters]} if parameters else {}),
        **({} if told.body is None else {"requestBody": _body(told)}),
        "responses": {status: _with_id(every[status]) for status in sorted(every)},
        "security": _security(route.who, told),
        **({"x-stream": True} if told.stream else {}),
    }


def _lists(told: Operation) -> bool:
    """Whether the answer is a list, as a page or whole."""
    answer = told.answers.get(200)
    if answer is None or isinstance(answer, Content | tuple):
        return False
    of = schema(answer)
    inner = of if isinstance(of, dict) else of.schema
    return inner.get("type") == "array" or "results" in inner.get("properties", {})


def _about(more: str, who: Who, told: Operation) -> str:
    roles = f"For these roles: {', '.join(sorted(who.roles))}." if who.roles else ""
    return "\n\n".join(part for part in (more.strip(), roles, told.stream) if part)


def _in_path(path: str, told: Operation) -> Sequence[Parameter]:
    return [
        Parameter(name=name, shape=_place(name, pattern, told), place="path", required=True)
        for name, pattern in PLACE.findall(path)
    ]


def _place(name: str, pattern: str, told: Operation) -> Shape:
    if name in told.path:
        return told.path[name]
    return SERIAL if pattern == "[0-9]+" else Text()


def _parameter(one: Parameter) -> dict[str, Any]:
    of = schema(one.shape) if isinstance(one.shape, dict | Named) else one.shape.schema(given=True)
    about = {"description": one.about} if one.about else {}
    commas = {"style": "form", "explode": False} if isinstance(of, dict) and of.get("type") == "array" else {}
    return {"name": one.name, "in": one.place, "required": one.required, **about, "schema": of, **commas}


def _body(told: Operation) -> dict[str, Any]:
    body = told.body if isinstance(told.body, Content) else Content("application/json", told.body or {})
    return {"required": not told.bodiless, "content": {body.type: {"schema": schema(body.shape)}}}


def _answer(of: Answer) -> dict[str, Any]:
    match of:
        case None:
            return {"description": "There is no body."}
        case Content():
            contents: tuple[Content, ...] = (of,)
        case tuple():
            contents = of
        case _:
            contents = (Content("application/json", of),)
    return {"description": "The answer.", "content": {one.type: {"schema": schema(one.shape)} for one in contents}}


def _with_id(response: dict[str, Any]) -> dict[str, Any]:
    headers = {**response.get("headers", {}), "X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    return {**response, "headers": headers}


def _security(who: Who, told: Operation) -> list[Schema]:
    match told.key:
        case Key.API:
            return [{"apiKey": []}]
        case Key.OPTIONAL:
            return [{}, {"token": []}]
        case Key.OF_ROUTE:
            return [{"token": []}] if who.signed_in else []
