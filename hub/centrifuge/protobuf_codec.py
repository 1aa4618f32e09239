"""The protocol in Protobuf: a message stands behind its length, a frame is messages one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from actors.channel import Publication
from hub import frames
from hub.centrifuge import protobuf_wire
from hub.centrifuge.codec import (
    COMMAND,
    EMULATION,
    PUBLICATION,
    REPLY,
    Command,
    Content,
    Emulation,
    Malformed,
    Method,
    Push,
    command,
    said_with,
)
from hub.centrifuge.codes import Error
from hub.centrifuge.protobuf_wire import delimited, varint

#: Tags of what makes up the push of a publication: Reply.push, Push.channel, Push.pub, Publication.data and .offset.
_PUSH, _CHANNEL, _PUB, _DATA, _OFFSET = b"\x22", b"\x12", b"\x22", b"\x22", b"\x30"


class ProtobufFormat:
    """The wire format in Protobuf. `framing` makes a transport's frame from one or more messages."""

    ping = b"\x00"

    def __init__(self, framing: Callable[[bytes], bytes]) -> None:
        self._framing = framing

    def decode(self, frame: bytes | str) -> list[Command]:
        """The commands of a frame, in order, at least one. Raises Malformed."""
        if not frame or isinstance(frame, str):
            raise Malformed("no binary frame with a command")
        commands: list[Command] = []
        at = 0
        while at < len(frame):
            message, at = protobuf_wire.read_delimited(frame, at)
            commands.append(command(protobuf_wire.decode(COMMAND, message)))
        return commands

    def emulation(self, body: bytes) -> Emulation:
        """The body of a request that carries commands beside their transport. Raises Malformed."""
        content = protobuf_wire.decode(EMULATION, body)
        return Emulation(node=content["node"], session=content["session"], data=content["data"])

    def reply(self, id: int, method: Method, result: Content) -> bytes:
        """The message that answers a command. Zeros may be left out. Raises KeyError for a field there is not."""
        return delimited(protobuf_wire.encode(REPLY, {"id": id, method: result}))

    def error(self, id: int, error: Error) -> bytes:
        """The message that refuses a command."""
        return delimited(protobuf_wire.encode(REPLY, {"id": id, "error": error._asdict()}))

    def push(self, channel: str, kind: Push, content: Content) -> bytes:
        """A message nobody asked for; one that is not about a channel has "" for it."""
        return delimited(protobuf_wire.encode(REPLY, {"push": {"channel": channel, kind: content}}))

    def publication_push(
        self,
        channel: str,
        data: bytes,
        offset: int,
        *,
        info: Content | None = None,
        tags: Mapping[str, str] | None = None,
        delta: bool = False,
        key: str = "",
    ) -> bytes:
        """The push of a publication; see WireFormat."""
        more = _OFFSET + varint(offset) if offset else b""
        if info or tags or delta or key:
            extras = {"info": info, "tags": tags or {}, "delta": delta, "key": key}
            more += protobuf_wire.encode(PUBLICATION, extras)
        name = channel.encode(errors="replace")
        opening = _DATA + varint(len(data))
        size = len(opening) + len(data) + len(more)
        about = b"%b%b%b%b%b" % (_CHANNEL, varint(len(name)), name, _PUB, varint(size))
        push = _PUSH + varint(len(about) + size)
        return b"".join((varint(len(push) + len(about) + size), push, about, opening, data, more))

    def delta_data(self, data: bytes) -> bytes:
        """The same bytes."""
        return data

    def frame(self, *messages: bytes) -> bytes:
        """One ready frame that carries these messages, at least one."""
        return self._framing(b"".join(messages))

    def publication(self, publication: Publication) -> bytes:
        """The ready frame of a publication."""
        record, offset = publication.record, publication.offset
        if record.info is None and record.tags is None:
            return self._framing(self.publication_push(record.channel, record.payload, offset))
        info, tags = said_with(record)
        return self._framing(self.publication_push(record.channel, record.payload, offset, info=info, tags=tags))

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        """Nothing: the protocol has no such message. A client recovers from the last publication it has seen."""
        return b""


CENTRIFUGE_PROTOBUF = ProtobufFormat(frames.binary)
