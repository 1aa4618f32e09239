"""Forms on their way in: the parts of a multipart body, from a client who may be slow or send nonsense.

What is wrong is said under the field that has the file, which is what such forms are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from models.resources.mistakes import Invalid

T = TypeVar("T")

#: The field that has the file.
FILE = "file"
#: Seconds in which a client must send something.
PATIENCE = 60.0


async def parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    """The parts of a form, each to be read before the next. Raises Invalid."""
    if request.content_type != "multipart/form-data":
        raise Invalid({FILE: ["Send the file as multipart/form-data, in a part named file with a file name."]})
    reader = await _coming(request.multipart())
    while (part := await _coming(reader.next())) is not None:
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise Invalid({FILE: ["Parts have names and no parts of their own."]})
        yield part


async def pieces(part: BodyPartReader, size: int) -> AsyncIterator[bytes]:
    """What is in a part, at most so many bytes at a time. Raises Invalid."""
    while piece := await _coming(part.read_chunk(size)):
        yield piece


async def _coming(what: Awaitable[T]) -> T:
    """What the client is to send next; aiohttp asserts what a client is to be blamed for."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await what
    except TimeoutError:
        raise Invalid({FILE: [f"Nothing came for {PATIENCE:.0f} seconds."]}) from None
    except (ValueError, AssertionError, BadHttpMessage) as error:
        raise Invalid({FILE: ["The body is not multipart/form-data that can be read."]}) from error
