from __future__ import annotations

import re
from typing import Any

import pytest

from tests.hub.rest import Rest

DOCS = "/api/docs/"


async def text(rest: Rest, path: str) -> tuple[int, Any, str]:
    async with rest.http.get(rest.url + path, allow_redirects=False) as reply:
        return reply.status, reply.headers, (await reply.read()).decode(errors="replace")


async def test_the_document_is_for_everybody(rest: Rest) -> None:
    assert (await rest.nobody.get("/api/schema/")).body["openapi"] == "3.1.0"
    assert (await rest.nobody.get("/api/schema/?openapi=3.0")).body["openapi"] == "3.0.3"
    refused = await rest.nobody.get("/api/schema/?openapi=2.0")
    assert (refused.status, refused.body) == (400, {"openapi": ["Must be one of 3.1, 3.0."]})


async def test_the_page_has_everything_it_needs_here(rest: Rest) -> None:
    status, headers, page = await text(rest, DOCS)
    assert (status, headers["Content-Type"]) == (200, "text/html")
    assert "default-src 'none'; script-src 'self';" in headers["Content-Security-Policy"]
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 5
    for file in files:
        assert file.startswith("/api/docs/files/")
        assert (await text(rest, file))[0] == 200


@pytest.mark.parametrize("name", ["index.html", "swagger-ui.js.map", "..%2Findex.html", "%2Fetc%2Fpasswd"])
async def test_no_other_file_can_be_had(rest: Rest, name: str) -> None:
    assert (await text(rest, f"{DOCS}files/{name}"))[0] == 404


async def test_the_way_from_redoc(rest: Rest) -> None:
    status, headers, _ = await text(rest, "/api/redoc/")
    assert (status, headers["Location"]) == (302, DOCS)
