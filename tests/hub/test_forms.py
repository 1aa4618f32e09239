"""A form from a client who stops in the middle, or sends what is none, is refused by its field and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hub import forms
from tests.hub.rest import Answer, Caller, Rest

FORM = "multipart/form-data; boundary=edge"
HEAD = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
PATHS = ("/api/v1/files/", "/api/v1/imports/")


async def _sent(caller: Caller, path: str, body: bytes | AsyncIterator[bytes], kind: str = FORM) -> Answer:
    headers = {"Authorization": f"Bearer {caller.token}", "Content-Type": kind}
    async with caller.http.post(caller.url + path, data=body, headers=headers) as reply:
        return Answer(reply.status, await reply.json(), reply.headers)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("begun", [b"--edge\r\n", HEAD, HEAD + b"first_name,last"])
async def test_one_who_stops_in_the_middle(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, path: str, begun: bytes
) -> None:
    monkeypatch.setattr(forms, "PATIENCE", 0.2)
    admin, answered = await rest.user(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield begun
        await answered.wait()

    answer = await _sent(admin, path, body())
    answered.set()
    assert (answer.status, answer.body) == (400, {"file": ["Nothing came for 0 seconds."]})
    assert await rest.pool.fetchval("SELECT (SELECT count(*) FROM imports) + (SELECT count(*) FROM crm_files)") == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, b"nonsense"),
        (FORM, b"--edge\r\nNone--edge--"),
        (FORM, b"--edge\r\n: \r\n\r\n--edge--"),
        ("multipart/form-data", HEAD),
        ("multipart/mixed; boundary=edge", HEAD),
        ("application/json", b"{}"),
    ],
)
async def test_what_is_no_form(rest: Rest, path: str, kind: str, body: bytes) -> None:
    answer = await _sent(await rest.user(), path, body, kind)
    assert (answer.status, list(answer.body)) == (400, ["file"])
