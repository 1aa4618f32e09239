"""What both wire formats of the protocol do: commands out of frames, and messages and ready frames out of values.

A message is one reply or push, complete; a frame is what a transport sends at once, and holds one message or several.
Values are named as in the JSON form (see `schema`), and payloads are bytes of JSON text in either format's content.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import orjson

from actors.channel import Publication
from actors.log import Record
from actors.traffic import Traffic
from hub.centrifuge.codes import Error
from hub.centrifuge.schema import MESSAGES

Method = Literal[
    "connect",
    "subscribe",
    "unsubscribe",
    "publish",
    "presence",
    "presence_stats",
    "history",
    "ping",
    "send",
    "rpc",
    "refresh",
    "sub_refresh",
]

Push = Literal["pub", "join", "leave", "unsubscribe", "message", "subscribe", "connect", "disconnect", "refresh"]

Content = Mapping[str, Any]


class Malformed(ValueError):
    """What a client sent is not the protocol."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What a client asks. Without id and method it is a pong."""

    #: From 1; 0 for a pong and for a `send` that has none.
    id: int = 0
    #: None for a pong, and for a method nobody here knows.
    method: Method | None = None
    #: Every field of the request, zero when it was not sent; a message that was not sent is None.
    request: Content = field(default_factory=dict)

    @property
    def pong(self) -> bool:
        """Whether it only answers a ping."""
        return self.id == 0 and self.method is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Emulation:
    """The commands of a client whose transport only goes down, sent beside it."""

    node: str
    session: str
    #: A frame of the transport's format.
    data: bytes


class WireFormat(ABC):
    """JSON or Protobuf. There is one object for each kind of frame, so that every publication is encoded once."""

    name: ClassVar[str]
    #: What went to and came from all clients that speak it, however it was framed.
    sent: ClassVar[Traffic]
    received: ClassVar[Traffic]
    #: The message that wants a pong.
    ping: ClassVar[bytes]
    #: What stands between the messages of a frame.
    between: ClassVar[bytes]
    #: Whether payloads may be any bytes.
    binary: ClassVar[bool]

    def __init__(self, framing: Callable[[bytes], bytes]) -> None:
        """`framing` makes a transport's frame from one or more messages."""
        self._framing = framing

    @abstractmethod
    def decode(self, frame: bytes | str) -> list[Command]:
        """The commands of a frame, in order, at least one. Raises Malformed."""

    @abstractmethod
    def emulation(self, body: bytes) -> Emulation:
        """The body of a request that carries commands beside their transport. Raises Malformed."""

    @abstractmethod
    def reply(self, id: int, method: Method, result: Content) -> bytes:
        """The message that answers a command. Zeros may be left out. Raises KeyError for a field there is not."""

    @abstractmethod
    def error(self, id: int, error: Error) -> bytes:
        """The message that refuses a command."""

    @abstractmethod
    def push(self, channel: str, kind: Push, content: Content) -> bytes:
        """A message nobody asked for; one that is not about a channel has "" for it."""

    @abstractmethod
    def publication_push(self, channel: str, data: bytes, offset: int, extras: Content | None = None) -> bytes:
        """The push of a publication. `offset` 0 means it has none; `extras` are other fields of it.

        For a subscription with deltas, `data` comes from `delta_data`.
        """

    @abstractmethod
    def delta_data(self, data: bytes) -> bytes:
        """A publication's payload, or a delta to the one before, as a subscription with deltas wants it."""

    def frame(self, *messages: bytes) -> bytes:
        """One ready frame that carries these messages, at least one."""
        return self._framing(self.between.join(messages))

    def farewell(self, code: int, reason: str) -> bytes:
        """The frame that says why a connection ends, where its transport cannot."""
        return self.frame(self.push("", "disconnect", {"code": code, "reason": reason}))

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        """The ready frame of a publication, whole."""
        return self.publication_frame(publication, publication.record.payload)

    def publication_frame(self, publication: Publication, data: bytes, *, delta: bool = False) -> bytes:
        """The ready frame of a publication, with `data` for its payload."""
        record = publication.record
        extras: Content | None = None if record.info is None and record.tags is None else said_with(record)
        if delta:
            extras = {**(extras or {}), "delta": True}
        return self._framing(self.publication_push(record.channel, data, publication.offset, extras))

    def after(self, sent: bool) -> WireFormat:
        """Itself: publications are whole."""
        return self

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        """Nothing: the protocol has no such message. A client recovers from the last publication it has seen."""
        return b""


def publication_content(publication: Publication) -> Content:
    """The fields of a Publication message, as replies carry them."""
    return {
        "data": publication.record.payload,
        "offset": publication.offset,
        **said_with(publication.record),
    }


def said_with(record: Record) -> Content:
    """`info` and `tags` of a publication. What is not of their form is left out: anyone may write a log."""
    info = {} if record.info is None else _object(record.info)
    tags = {} if record.tags is None else _object(record.tags)
    if not all(isinstance(text, str) for text in tags.values()):
        tags = {}
    return {"info": _client_info(info) if info else None, "tags": tags}


def _client_info(info: Mapping[str, Any]) -> Content | None:
    content: dict[str, Any] = {name: str(info.get(name, "")) for name in ("user", "client")}
    try:
        return content | {name: orjson.dumps(info[name]) for name in ("conn_info", "chan_info") if name in info}
    except orjson.JSONEncodeError:  # nested deeper than it writes
        return None


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


COMMAND = MESSAGES["Command"]
REPLY = MESSAGES["Reply"]
PUBLICATION = MESSAGES["Publication"]
EMULATION = MESSAGES["EmulationRequest"]

PONG = Command()


def command(content: Content) -> Command:
    """The command in the fields of a Command message; of several requests the first in the table. Raises Malformed."""
    id: int = content["id"]
    for method in get_args(Method):
        if (request := content[method]) is not None:
            if not id and method != "send":
                raise Malformed(f"{method} has no id")
            return Command(id=id, method=method, request=request)
    return Command(id=id) if id else PONG
