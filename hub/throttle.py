"""Limits on guessing: passwords and codes of one account, and whatever is tried from one address.

They are counted in Postgres (`models/throttles.py`), for all nodes. A name that nobody has is counted as one that
somebody has, so a lock tells nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import asyncpg
from aiohttp import web

from hub.addresses import address, network
from hub.errors import TooMany
from hub.keys import POOL, SETTINGS
from hub.rates import REFUSED
from models import throttles


@dataclass(frozen=True)
class Limit:
    """One thing that is counted, and how often it may go wrong before each time locks it."""

    key: str
    free: int


def of_account(request: web.Request, what: str, name: str | int) -> Limit:
    """Tries for one account, by its id or by the name that was given, of which only a hash is kept."""
    kept = (
        str(name)
        if isinstance(name, int)
        else hashlib.sha256(name.strip().lower().encode(errors="replace")).hexdigest()
    )
    return Limit(f"{what}:{kept}", request.app[SETTINGS].account_tries)


def of_address(request: web.Request, what: str) -> Limit:
    """Tries from the caller's address."""
    return Limit(f"{what}:address:{network(address(request))}", request.app[SETTINGS].address_tries)


async def take(request: web.Request, *limits: Limit) -> None:
    """Count a try. Raises TooMany, and then none of the limits has counted it."""
    pool: asyncpg.Pool = request.app[POOL]
    counted: list[Limit] = []
    for limit in limits:
        if not limit.free:
            continue
        if wait := await throttles.take(pool, limit.key, limit.free):
            for one in counted:
                await throttles.give_back(pool, one.key)
            REFUSED.labels("tries").inc()
            raise TooMany(wait)
        counted.append(limit)


async def right(request: web.Request, *limits: Limit) -> None:
    """The try was right: it does not count."""
    for limit in limits:
        if limit.free:
            await throttles.give_back(request.app[POOL], limit.key)


async def clear(request: web.Request, *limits: Limit) -> None:
    """Forget what was tried."""
    for limit in limits:
        await throttles.clear(request.app[POOL], limit.key)
