"""A worker that is killed in the middle of its agents' first transaction, the rows written and not committed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace

import asyncpg

import main
from streams import agents
from streams.audit import AUDIT
from streams.envelope import Event


async def derive(connection: asyncpg.Connection, events: Sequence[Event], quiet: Collection[int]) -> None:
    """Write everything, then die."""
    await AUDIT.derive(connection, events, quiet)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    agents.AGENTS["audit"] = replace(AUDIT, derive=derive)
    sys.exit(main.main())
