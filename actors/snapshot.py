"""A partition's state as bytes: what a node goes on from instead of folding the log from its beginning.

It holds all that decides numbers, and which publications were remembered, by Kafka offset, so that a starting node can
read exactly those again.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from actors.channel import Publication
from actors.log import Channel, Seen, State, Version

#: Changes with the format; a snapshot of another format is not read.
FORMAT = 3


class SnapshotError(ValueError):
    """The bytes are no snapshot of this format."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What a snapshot holds; for Partition(state=..., remembered=...)."""

    state: State
    #: Channel and number of each publication that was remembered, by Kafka offset in order.
    remembered: dict[int, tuple[str, int]]


def encode(state: State, remembered: Iterable[Publication] = ()) -> bytes:
    """The state and the places of what is remembered, packed."""
    channels = state.channels.values()
    where = {name: at for at, name in enumerate(state.channels)}
    kept = [p for p in remembered if p.record.channel in where]
    return zlib.compress(
        orjson.dumps(
            {
                "format": FORMAT,
                "incarnation": state.incarnation,
                "next": state.next,
                "mark": state.mark,
                "time": state.time,
                "forgotten": state.forgotten,
                "timestamp": state.timestamp,
                "names": list(state.channels),
                "made": [channel.made for channel in channels],
                "offset": [channel.offset for channel in channels],
                "used": [channel.used for channel in channels],
                "versions": [[name, *version] for name, version in state.versions.items()],
                "ids": [[*key, *seen] for key, seen in state.ids.items()],
                "kept": [[p.record.offset, where[p.record.channel], p.offset] for p in kept],
            }
        ),
        level=1,
    )


def decode(data: bytes) -> Restored:
    """What `encode` packed. Raises SnapshotError."""
    try:
        content: dict[str, Any] = orjson.loads(zlib.decompress(data))
        if content["format"] != FORMAT:
            raise SnapshotError(f"snapshot format {content['format']}, not {FORMAT}")
        names: list[str] = content["names"]
        columns = zip(names, content["made"], content["offset"], content["used"], strict=True)
        state = State(
            incarnation=content["incarnation"],
            next=content["next"],
            mark=content["mark"],
            time=content["time"],
            forgotten=content["forgotten"],
            timestamp=content["timestamp"],
            channels=OrderedDict((name, Channel(made, offset, used)) for name, made, offset, used in columns),
            ids=OrderedDict(((channel, id), Seen(*seen)) for channel, id, *seen in content["ids"]),
            versions={name: Version(*version) for name, *version in content["versions"]},
        )
        return Restored(state=state, remembered={at: (names[name], n) for at, name, n in content["kept"]})
    except (zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise SnapshotError(str(error)) from error
