"""What a node does when it is told or asked to: handlers by name, given by the parts of the hub.

Orders are carried out one by one, as they come; surveys are answered beside each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from hub.surveys import failure, success

log = structlog.get_logger()

#: Orders that wait to be carried out; more let whoever brings them wait.
WAITING = 10_000

#: Seconds an order may take; it holds up those behind it.
PATIENCE = 10.0

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]


class Duties:
    """The handlers of one node."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._orders: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue(WAITING)

    def on(self, name: str, handler: Handler) -> None:
        """Have orders or surveys of this name handled."""
        self._handlers[name] = handler

    async def order(self, name: str, content: Mapping[str, Any]) -> None:
        """Have an order carried out after those before it."""
        await self._orders.put((name, content))

    async def answer(self, name: str, content: Mapping[str, Any]) -> bytes:
        """The body of this node's answer to a survey."""
        if (handler := self._handlers.get(name)) is None:
            return failure(f"there is no {name} here")
        try:
            return success(await handler(content))
        except Exception as error:
            log.exception("survey_failed", name=name)
            return failure(repr(error))

    async def run(self) -> None:
        """Carry out orders until cancelled."""
        while True:
            name, content = await self._orders.get()
            if (handler := self._handlers.get(name)) is None:
                log.warning("order_unknown", name=name)
                continue
            try:
                async with asyncio.timeout(PATIENCE):
                    await handler(content)
            except Exception:  # what follows must be carried out all the same
                log.exception("order_failed", name=name)
