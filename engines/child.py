"""A child process that never outlives us.

Linux is asked to signal the child when we die, so that even `kill -9` of `up` leaves nothing behind. Each child leads
its own session: Ctrl-C in the terminal reaches us alone, and we stop the children in order.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
#: Loaded before any fork: the child may not load anything between fork and exec.
_LIBC = ctypes.CDLL(None, use_errno=True)


class EngineError(Exception):
    """An engine cannot be started; the message says why and what to do, in a sentence."""


async def spawn(
    argv: Sequence[str],
    *,
    log: Path | None = None,
    environ: Mapping[str, str] | None = None,
    at_our_death: signal.Signals = signal.SIGKILL,
) -> Process:
    """Start `argv` with its output appended to `log`, or shown on ours when None. Raises EngineError if it cannot."""
    output = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environ is None else dict(environ),
            start_new_session=True,
            preexec_fn=_dies_with(os.getpid(), at_our_death),
        )
    except OSError as error:
        raise EngineError(f"{argv[0]} cannot be started: {error.strerror}.") from error
    finally:
        if output is not None:
            os.close(output)


def _dies_with(parent: int, sign: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None

    def ask() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(sign))
        if os.getppid() != parent:  # we died between fork and the request
            os._exit(1)

    return ask


async def stop(process: Process, *, sign: signal.Signals = signal.SIGTERM, grace: float = 10.0) -> None:
    """Send `sign`, wait up to `grace` seconds, then kill. Returns when the process is gone."""
    if process.returncode is not None:
        return
    process.send_signal(sign)
    try:
        async with asyncio.timeout(grace):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def tail(log: Path, lines: int = 3) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return ""
    return " / ".join(log.read_text(errors="replace").splitlines()[-lines:])
