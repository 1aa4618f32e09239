"""The small page at `/`: signs in and follows both sockets in the browser."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from hub.openapi.operation import Content, Operation, documented

FOLDER = Path(__file__).parent

#: The page brings everything it needs and may be framed by nobody.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

#: The only files there are, so that no path in a request reaches the disk.
FILES = frozenset({"page.css", "page.js"})


@documented(Operation(answers={200: Content("text/html")}))
async def index(_request: web.Request) -> web.StreamResponse:
    """The page itself."""
    return web.FileResponse(FOLDER / "index.html", headers=HEADERS)


@documented(Operation(answers={200: Content("*/*")}))
async def asset(request: web.Request) -> web.StreamResponse:
    """One of its files, `{name}` in the route."""
    name = request.match_info["name"]
    if name not in FILES:
        raise web.HTTPNotFound
    return web.FileResponse(FOLDER / name, headers=HEADERS)
