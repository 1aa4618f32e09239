from __future__ import annotations

import pytest

from hub.errors import Malformed
from hub.requests import DEEPEST, parse_object
from tests.hub.rest import LEAD, Rest


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
    made = await admin.post("/api/v1/leads/", {**LEAD, "custom_fields": {}})
    deep: object = []
    for _ in range(DEEPEST - 3):
        deep = [deep]
    path = f"/api/v1/leads/{made.body['id']}/"
    assert (await admin.patch(path, {"custom_fields": {"deep": deep}})).status == 200
    assert (await admin.get(path)).body["custom_fields"] == {"deep": deep}
    assert (await admin.patch(path, {"custom_fields": {"deep": [[deep]]}})).status == 400
