"""The data folder of `up`: used by one at a time, and telling the other commands where its engines are."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.child import EngineError


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the engines of a running `up` are."""

    #: URL of Postgres, password included.
    database_url: str
    #: Bootstrap servers.
    kafka: str


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if it is missing. Raises EngineError if another `up` holds it or it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EngineError(f"The data folder {folder} cannot be used ({error.strerror}); set HUB_DATA.") from error
    try:
        if not _take(lock):
            holder = os.pread(lock, 20, 0).decode() or "unknown"
            raise EngineError(f"The data folder {folder} is in use by process {holder}; stop it or set HUB_DATA.")
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def tell(folder: Path, addresses: Addresses) -> None:
    """Write where the engines are, for the holder's user only."""
    file = folder / "engines.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(asdict(addresses)))


def addresses(folder: Path) -> Addresses:
    """Where the engines of the `up` that holds `folder` are. Raises EngineError if none does."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        raise EngineError(_nothing(folder)) from None
    try:
        if _take(lock) or not (folder / "engines.json").exists():
            raise EngineError(_nothing(folder))
    finally:
        os.close(lock)
    return Addresses(**json.loads((folder / "engines.json").read_text()))


def _nothing(folder: Path) -> str:
    return f"Nothing runs on {folder}: start `main.py up` first, or set HUB_DATABASE_URL and HUB_KAFKA."
