from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import envelope

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "actor": st.integers(1, 2**40),
        "ip": st.ip_addresses().map(str),
        "user_agent": st.text(min_size=1),
        "request_id": st.uuids().map(str),
        "source": st.sampled_from(["api", "demo"]),
        "role": st.text(min_size=1),
    },
)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": 41,
        "at": datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
        "key": "lead:7",
        "type": "lead.updated",
        "subject": "lead:7",
        "data": "{}",
        "context": "{}",
        "schema": 1,
    } | changes


@given(data=st.dictionaries(st.text(), json_values, max_size=4), context=contexts, n=st.integers(1, 2**62))
def test_what_is_encoded_is_decoded(data: dict[str, Any], context: dict[str, Any], n: int) -> None:
    given_row = row(data=orjson.dumps(data).decode(), context=orjson.dumps(context).decode())
    event = envelope.decode(envelope.encode(given_row, n), "crm.changes", 3)
    assert (event.id, event.n, event.topic, event.partition) == (41, n, "crm.changes", 3)
    assert (event.key, event.type, event.subject, event.schema) == ("lead:7", "lead.updated", "lead:7", 1)
    assert event.time == given_row["at"]
    assert event.data == data
    assert event.context == context


def test_large_data_travels_by_reference() -> None:
    large = orjson.dumps({"after": "x" * envelope.LARGEST_DATA}).decode()
    value = envelope.encode(row(data=large), 1)
    assert len(value) < 1000
    assert orjson.loads(value)["dataref"] == "41"
    assert envelope.decode(value, "crm.changes", 0).data is None


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"id":"x"}', b"\xff"])
def test_what_is_no_event_of_ours_is_refused(value: bytes) -> None:
    with pytest.raises(envelope.EnvelopeError, match="not an event of ours"):
        envelope.decode(value, "crm.changes", 0)


def test_binary_attributes_are_headers() -> None:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    headers = envelope.publication_headers(type=envelope.FRAME, id="9", time=time, n=12, audience=b'{"roles":[]}')
    found = envelope.attributes(headers)
    assert found["ce_sequence"] == b"00000000000000000012"
    assert found["ce_time"] == b"2026-01-02T00:00:00Z"
    assert found["ce_audience"] == b'{"roles":[]}'
    assert "ce_sequence" not in dict(envelope.publication_headers(type="hub.tick", id="1", time=time))
