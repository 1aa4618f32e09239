"""The documentation of the API: the OpenAPI document at /api/schema/, and Swagger UI at /api/docs/ to read and try it.

Everything the page needs comes from here, none of it is written by hand: the document is made of the routes, and the
files of Swagger UI are those of an installed package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from aiohttp import web
from swagger_ui_bundle import swagger_ui_path

from hub import pages
from hub.openapi.document import Route, document
from hub.openapi.older import older
from hub.openapi.operation import Content, Operation, Parameter, documented
from hub.openapi.shapes import OBJECT
from hub.responses import ready
from models.resources.mistakes import Invalid
from models.wire import dump

FOLDER = Path(__file__).parent / "api_docs_page"

#: Swagger UI draws its icons from data: and sets styles from its script; nothing else may come from anywhere else.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

#: The only files there are, so that no path in a request reaches the disk.
FILES = {
    "page.js": FOLDER / "page.js",
    "page.css": FOLDER / "page.css",
    **{name: Path(swagger_ui_path) / name for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")},
}


class Document:
    """The document of some routes, made when it is first asked for."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    @cached_property
    def newest(self) -> bytes:
        """In OpenAPI 3.1."""
        return dump(self._made)

    @cached_property
    def older(self) -> bytes:
        """In OpenAPI 3.0."""
        return dump(older(self._made))

    @cached_property
    def _made(self) -> dict[str, Any]:
        return document(self._routes)


DOCUMENT = web.AppKey("document", Document)

VERSIONS: dict[str, Callable[[Document], bytes]] = {"3.1": lambda one: one.newest, "3.0": lambda one: one.older}


@documented(
    Operation(
        answers={200: OBJECT},
        parameters=(
            Parameter(
                name="openapi",
                shape={"type": "string", "enum": list(VERSIONS)},
                about="The version of OpenAPI; 3.0 is for tools that know no other.",
            ),
        ),
    )
)
async def schema(request: web.Request) -> web.Response:
    """This document."""
    given = pages.query(request)
    pages.allowed(given, ("openapi",))
    version = given.get("openapi", "3.1")
    if version not in VERSIONS:
        raise Invalid({"openapi": [f"Must be one of {', '.join(VERSIONS)}."]})
    return ready(VERSIONS[version](request.app[DOCUMENT]), headers={"Cache-Control": "no-cache"})


@documented(Operation(answers={200: Content("text/html")}))
async def index(_request: web.Request) -> web.StreamResponse:
    """Swagger UI: this document to read, and to try with a token."""
    return web.FileResponse(FOLDER / "index.html", headers=HEADERS)


@documented(Operation(answers={200: Content("*/*")}))
async def asset(request: web.Request) -> web.StreamResponse:
    """One of the files of Swagger UI."""
    file = FILES.get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    return web.FileResponse(file, headers=HEADERS)


@documented(Operation(answers={302: None}))
async def redoc(_request: web.Request) -> web.StreamResponse:
    """Where the original API had Redoc: the way to Swagger UI."""
    return web.Response(status=302, headers={"Location": "/api/docs/"})
