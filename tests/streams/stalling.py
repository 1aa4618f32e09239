"""A worker whose consumers keep their partitions and never bring a record, as Faust's have been seen to do."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import main
from streams import app, watchdog


async def never(self: Any, *_: Any, **__: Any) -> None:
    """A fetch that does not return."""
    await asyncio.Event().wait()


if __name__ == "__main__":
    app._Thread.getmany = never  # type: ignore[method-assign, assignment]
    watchdog.STALLED_AFTER = 2.0
    sys.exit(main.main())
