from __future__ import annotations

import pytest

from hub.errors import Malformed
from hub.requests import DEEPEST, parse_object
from tests.hub.rest import Rest


def nested(levels: int) -> bytes:
    """An object so many levels deep in all."""
    return b'{"deep":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_json_may_be_nested_as_deep_as_can_be_written_again() -> None:
    assert parse_object(nested(DEEPEST))
    assert parse_object(b'{"many":[' + b",".join([b"[]"] * DEEPEST * 2) + b"]}")
    with pytest.raises(Malformed, match="nested"):
        parse_object(nested(DEEPEST + 1))


async def test_the_deepest_record_can_be_stored_and_shown(rest: Rest) -> None:
    admin = await rest.user()
    deep: object = []
    for _ in range(DEEPEST - 4):
        deep = [deep]
    path = "/api/auth/users/me/"
    kept = {"profile": {"dashboard_preferences": {"deep": deep}}}
    assert (await admin.patch(path, kept)).status == 200
    assert (await admin.get(path)).body["profile"]["dashboard_preferences"] == {"deep": deep}
    kept = {"profile": {"dashboard_preferences": {"deep": [[deep]]}}}
    assert (await admin.patch(path, kept)).status == 400
