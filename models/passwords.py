"""Passwords as argon2 hashes, made off the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: The only executor there is: hashing takes tens of milliseconds and lets go of the interpreter lock.
_EXECUTOR = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

#: 19 MiB and two passes: a sign-in costs about 20 ms, and two at once do not show in a small machine's memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


async def hash(password: str) -> str:
    """The argon2 hash to store."""
    return await asyncio.get_running_loop().run_in_executor(_EXECUTOR, _HASHER.hash, password)


async def verify(stored: str | None, password: str) -> bool:
    """Whether a password belongs to a stored hash. With None, for an unknown user, it takes as long and is False."""
    return await asyncio.get_running_loop().run_in_executor(_EXECUTOR, _verify, stored, password)


def _verify(stored: str | None, password: str) -> bool:
    try:
        return _HASHER.verify(stored or _nobody(), password) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _HASHER.hash("the hash that is checked when there is no such user")
