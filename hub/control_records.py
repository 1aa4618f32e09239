"""Records of `hub.control`: what nodes say to each other, as CloudEvents in binary mode.

A node numbers what it says, 1, 2, 3 …, in `ce_nodesequence`, and everything it says has its uid as key, so that it
stands in one partition in that order. Whatever else is in the topic is not meant for nodes, or not yet.

    type                  says                                                    payload
    hub.node.hello        I am new; say all that are present with you             how the node is
    hub.node.heartbeat    I am alive                                              how the node is
    hub.node.present      these are present with me, in parts                     first, last, clients
    hub.node.moved        these came and went                                     changes
    hub.node.again        (ce_to) something you said was lost; say all again      nothing
    hub.node.goodbye      I stop                                                  nothing
    hub.order             do this, everybody                                      name, content, bytes
    hub.survey            answer this, everybody (or ce_to); ce_survey is its id  name, content, bytes
    hub.answer            (ce_to) answer to ce_survey, part ce_part of ce_parts   answer or error; cut into parts
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka import ConsumerRecord

from actors.presence import Alive, Change, ClientInfo, Goodbye, Moved, NodeInfo, Present, Said
from streams.envelope import Headers, publication_headers

HELLO = "hub.node.hello"
HEARTBEAT = "hub.node.heartbeat"
PRESENT = "hub.node.present"
MOVED = "hub.node.moved"
AGAIN = "hub.node.again"
GOODBYE = "hub.node.goodbye"
ORDER = "hub.order"
SURVEY = "hub.survey"
ANSWER = "hub.answer"

TYPES = frozenset({HELLO, HEARTBEAT, PRESENT, MOVED, AGAIN, GOODBYE, ORDER, SURVEY, ANSWER})


class ControlError(ValueError):
    """A record of a node cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A record of a node. `to`, `survey`, `part` and `parts` are empty, 0 and 1 where they mean nothing."""

    type: str
    node: str
    n: int
    to: str
    survey: str
    part: int
    parts: int
    value: bytes


def headers(type: str, node: str, n: int, **more: str) -> Headers:
    """Headers of a record; `more` are attributes such as `to` or `survey`."""
    made = publication_headers(type=type, id=f"{node}-{n}", time=datetime.now(UTC))
    made += [("ce_node", node.encode()), ("ce_nodesequence", str(n).encode())]
    made += [(f"ce_{name}", value.encode()) for name, value in more.items()]
    return made


def decode(record: ConsumerRecord[bytes | None, bytes | None]) -> Heard | None:
    """What a node said; None for a record that no node of ours wrote. Raises ControlError."""
    found: dict[str, bytes] = dict(record.headers)
    if "ce_node" not in found or "ce_nodesequence" not in found:
        return None
    try:
        text = {name: value.decode() for name, value in found.items()}
        return Heard(
            type=text.get("ce_type", ""),
            node=text["ce_node"],
            n=int(text["ce_nodesequence"]),
            to=text.get("ce_to", ""),
            survey=text.get("ce_survey", ""),
            part=int(text.get("ce_part", "0")),
            parts=int(text.get("ce_parts", "1")),
            value=record.value or b"",
        )
    except (ValueError, AttributeError) as error:
        raise ControlError(str(error)) from error


def said(heard: Heard) -> Said:
    """What a record says of its node's presence. Raises ControlError."""
    try:
        read = READERS.get(heard.type)
        return Said(node=heard.node, n=heard.n) if read is None else read(heard)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ControlError(f"{heard.type}: {error!r}") from error


def _alive(heard: Heard) -> Alive:
    told = orjson.loads(heard.value)
    info = NodeInfo(**{name: told[name] for name in NodeInfo.__dataclass_fields__ if name in told})
    return Alive(node=heard.node, n=heard.n, info=info)


def _present(heard: Heard) -> Present:
    body = orjson.loads(heard.value)
    clients = [_client(*row) for row in body["clients"]]
    return Present(node=heard.node, n=heard.n, first=body["first"], last=body["last"], clients=clients)


def _moved(heard: Heard) -> Moved:
    changes = [Change(joined, *_client(*row)) for joined, *row in orjson.loads(heard.value)["changes"]]
    return Moved(node=heard.node, n=heard.n, changes=changes)


#: Readers of what tells something of presence, by type; the others are signs of life.
READERS: dict[str, Callable[[Heard], Said]] = {
    HELLO: _alive,
    HEARTBEAT: _alive,
    PRESENT: _present,
    MOVED: _moved,
    GOODBYE: lambda heard: Goodbye(node=heard.node, n=heard.n),
}


def alive(info: NodeInfo) -> bytes:
    """How a node is."""
    return orjson.dumps(asdict(info))


def moved(changes: Sequence[Change]) -> bytes:
    """Who came and went."""
    return orjson.dumps({"changes": [(one.joined, *_row(one.channel, one.info)) for one in changes]})


def present(clients: Sequence[tuple[str, ClientInfo]], *, first: bool, last: bool) -> bytes:
    """A part of all that are present."""
    return orjson.dumps({"first": first, "last": last, "clients": [_row(*one) for one in clients]})


def request(name: str, content: Mapping[str, Any]) -> bytes:
    """An order or a survey. Values of `content` are JSON, or bytes. Raises TypeError for others."""
    raw = {key: b64encode(value).decode() for key, value in content.items() if isinstance(value, bytes)}
    plain = {key: value for key, value in content.items() if key not in raw}
    return orjson.dumps({"name": name, "content": plain, "bytes": raw})


def requested(value: bytes) -> tuple[str, dict[str, Any]]:
    """Name and content of an order or a survey. Raises ControlError."""
    try:
        body = orjson.loads(value)
        return body["name"], body["content"] | {key: b64decode(raw) for key, raw in body["bytes"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ControlError(f"a request: {error!r}") from error


#: Channel, user, client, and what it has of connection and channel info, as base64.
Row = tuple[str, str, str, str | None, str | None]


def _row(channel: str, info: ClientInfo) -> Row:
    return channel, info.user, info.client, _base64(info.conn_info), _base64(info.chan_info)


def _client(
    channel: str, user: str, client: str, conn_info: str | None, chan_info: str | None
) -> tuple[str, ClientInfo]:
    return channel, ClientInfo(user=user, client=client, conn_info=_raw(conn_info), chan_info=_raw(chan_info))


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()


def _raw(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
