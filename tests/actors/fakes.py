"""The outside of the actors in memory: a socket with a buffer that fills, and a wire format that can be read back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from actors.channel import Codec, Publication
from actors.messages import Subscribed
from actors.traffic import Traffic


class Socket:
    """A transport that takes `room` writes before it is full; unlimited when None."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.writes: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        #: Called when there is room again, if the session was told that there is none.
        self.resumed: Callable[[], None] = lambda: None
        self._refused = False

    def write(self, data: bytes) -> None:
        assert self.closed is None, "written after the close"
        self.writes.append(data)
        if self.room is not None:
            self.room -= 1

    def writable(self) -> bool:
        full = self.room is not None and self.room < 1
        self._refused = self._refused or full
        return not full

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)

    def drain(self, room: int | None) -> None:
        """Make room; the session is told a moment later."""
        self.room = room
        if self._refused and (room is None or room > 0):
            self._refused = False
            asyncio.get_running_loop().call_soon(self.resumed)

    @property
    def received(self) -> list[Frame]:
        """All frames written."""
        return [Frame.read(text) for text in re.findall(r"<[^>]*>", b"".join(self.writes).decode())]


@dataclass(frozen=True)
class Frame:
    """One frame, read back."""

    what: str
    channel: str
    epoch: str = ""
    offset: int = 0
    payload: str = ""
    recovered: bool = False
    #: Of a publication told as a step: the payload it is a step from.
    base: str = ""

    @classmethod
    def read(cls, text: str) -> Frame:
        what, channel, epoch, offset, payload, recovered, *base = text[1:-1].split("|")
        return cls(what, channel, epoch, int(offset), payload, recovered == "True", *base)

    def bytes(self) -> bytes:
        parts = (self.what, self.channel, self.epoch, str(self.offset), self.payload, str(self.recovered), self.base)
        return f"<{'|'.join(parts if self.base else parts[:-1])}>".encode()


class Text:
    """A codec one can read. Counts what it encodes."""

    def __init__(self) -> None:
        self.encoded = 0
        self.sent = Traffic()

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        self.encoded += 1
        record = publication.record
        return Frame("pub", record.channel, "", publication.offset, record.payload.decode()).bytes()

    def after(self, sent: bool) -> Codec:
        return self

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        return Frame("position", channel, epoch, offset).bytes()


class Steps(Text):
    """A codec that tells who has the publication before which one that was."""

    def __init__(self) -> None:
        super().__init__()
        self.following = Following(self)

    def after(self, sent: bool) -> Codec:
        return self.following if sent else self


class Following(Text):
    """The codec of Steps for who has the publication before."""

    def __init__(self, whole: Steps) -> None:
        super().__init__()
        self._whole = whole

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        frame = Frame.read(super().publication(publication, previous).decode())
        return replace(frame, base="" if previous is None else previous.record.payload.decode()).bytes()

    def after(self, sent: bool) -> Codec:
        return self if sent else self._whole


def greeting(channel: str) -> Callable[[Subscribed], bytes]:
    """The frame a subscription is answered with."""
    return lambda s: Frame("greeting", channel, s.epoch, s.offset, "", s.recovered).bytes()
