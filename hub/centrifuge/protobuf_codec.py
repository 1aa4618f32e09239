"""The protocol in Protobuf: a message stands behind its length, a frame is messages one after the other."""

from __future__ import annotations

from actors.traffic import Traffic
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
    WireFormat,
    command,
)
from hub.centrifuge.codes import Error
from hub.centrifuge.protobuf_wire import delimited, varint

#: Tags of what makes up the push of a publication: Reply.push, Push.channel, Push.pub, Publication.data and .offset.
_PUSH, _CHANNEL, _PUB, _DATA, _OFFSET = b"\x22", b"\x12", b"\x22", b"\x22", b"\x30"


class ProtobufFormat(WireFormat):
    """The wire format in Protobuf."""

    name = "protobuf"
    sent, received = Traffic(), Traffic()
    ping = b"\x00"
    between = b""
    binary = True

    def decode(self, frame: bytes | str) -> list[Command]:
        if not frame or isinstance(frame, str):
            raise Malformed("no binary frame with a command")
        commands: list[Command] = []
        at = 0
        while at < len(frame):
            message, at = protobuf_wire.read_delimited(frame, at)
            commands.append(command(protobuf_wire.decode(COMMAND, message)))
        return commands

    def emulation(self, body: bytes) -> Emulation:
        content = protobuf_wire.decode(EMULATION, body)
        return Emulation(node=content["node"], session=content["session"], data=content["data"])

    def reply(self, id: int, method: Method, result: Content) -> bytes:
        return delimited(protobuf_wire.encode(REPLY, {"id": id, method: result}))

    def error(self, id: int, error: Error) -> bytes:
        return delimited(protobuf_wire.encode(REPLY, {"id": id, "error": error._asdict()}))

    def push(self, channel: str, kind: Push, content: Content) -> bytes:
        return delimited(protobuf_wire.encode(REPLY, {"push": {"channel": channel, kind: content}}))

    def publication_push(self, channel: str, data: bytes, offset: int, extras: Content | None = None) -> bytes:
        more = _OFFSET + varint(offset) if offset else b""
        if extras:
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


CENTRIFUGE_PROTOBUF = ProtobufFormat(frames.binary)
