"""What the server API works with, and the form of its commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from hub.centrifuge.api_request import ApiError, bad
from hub.centrifuge.codes import INTERNAL_ERROR, UNKNOWN_CHANNEL
from hub.channel_history import Log
from hub.control import Control
from hub.namespaces import ChannelOptions, Namespaces
from hub.presence import Presence
from hub.publish import Publish

T = TypeVar("T")

#: Publishes of a broadcast, or commands of a parallel batch, under way at the same time.
AT_ONCE = 256

#: The log did not acknowledge; it may have it all the same.
OUTCOME_UNKNOWN = INTERNAL_ERROR._replace(message="outcome unknown: try again, with the same idempotency_key")

#: What a command is answered with, for orjson.
Result = Any

#: A method of `rpc`: parameters in, data out, both any JSON. Raises ApiError.
Rpc = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Api:
    """What commands work with."""

    #: Epoch and offset of what was said; None where nobody waits for them. Raises OutcomeUnknown.
    publish: Callable[[Publish], Awaitable[tuple[str, int] | None]]
    log: Log
    namespaces: Namespaces
    control: Control
    presence: Presence
    #: Methods of `rpc` by name; the parts of the hub put theirs here.
    rpc: dict[str, Rpc] = field(default_factory=dict)

    def options(self, channel: str) -> ChannelOptions:
        """The options of a channel that a command names. Raises ApiError."""
        if not channel:
            raise bad("channel is required")
        options = self.namespaces.options(channel)
        if options is None:
            raise ApiError(UNKNOWN_CHANNEL)
        if not self.namespaces.well_formed(channel):
            raise bad("channel is too long, or has characters it may not have")
        return options


#: A command that was read, to be done. Raises ApiError.
Call = Callable[[Api], Awaitable[Result]]


async def in_parallel(act: Callable[[T], Awaitable[Result]], things: Sequence[T]) -> list[Result]:
    """The results for all of these, in their order."""
    results: list[Result] = []
    rest = iter(things)
    while some := list(islice(rest, AT_ONCE)):
        results += await asyncio.gather(*map(act, some))
    return results
