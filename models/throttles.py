"""Tries that are counted in Postgres, so that a limit holds on every node and after a restart.

A try is counted before it is known how it ends, so that many at a time cannot slip past, and given back when it was
right. From the `free`-th on each one that went wrong locks its key for twice as long as the one before it.
"""

from __future__ import annotations

import math

import asyncpg

#: Seconds of the first lock and of the longest, and without a try until all is forgotten.
FIRST, LONGEST, FORGOTTEN = 10, 900, 3600

TABLE = """
CREATE TABLE throttles (
    key          text PRIMARY KEY,
    tries        integer NOT NULL,
    last_at      timestamptz NOT NULL,
    locked_until timestamptz NOT NULL
)
"""

#: How many tries there are with this one.
_NUMBER = f"CASE WHEN held.last_at < now() - interval '{FORGOTTEN} s' THEN 1 ELSE held.tries + 1 END"

# The time is that of the row, once it is held: a transaction that began earlier may come later.
TAKE = f"""
INSERT INTO throttles AS held (key, tries, last_at, locked_until)
VALUES ($1, 1, clock_timestamp(), clock_timestamp() + CASE WHEN $2 <= 1 THEN interval '{FIRST} s' ELSE interval '0' END)
ON CONFLICT (key) DO UPDATE SET
    tries = {_NUMBER},
    last_at = clock_timestamp(),
    locked_until = clock_timestamp() + CASE WHEN {_NUMBER} < $2 THEN interval '0'
        ELSE make_interval(secs => least({LONGEST}, {FIRST} * power(2, least({_NUMBER} - $2, 20)))) END
WHERE held.locked_until <= clock_timestamp()
RETURNING true
"""
LOCKED = "SELECT extract(epoch FROM locked_until - clock_timestamp())::float8 FROM throttles WHERE key = $1"
GIVE_BACK = "UPDATE throttles SET tries = greatest(tries - 1, 0), locked_until = clock_timestamp() WHERE key = $1"
CLEAR = "DELETE FROM throttles WHERE key = $1"


async def take(pool: asyncpg.Pool, key: str, free: int) -> int:
    """Count a try; 0 if it may be made, else the seconds until the next one may."""
    if await pool.fetchval(TAKE, key, free):
        return 0
    return max(1, math.ceil(await pool.fetchval(LOCKED, key) or 0))


async def give_back(pool: asyncpg.Pool, key: str) -> None:
    """One try was right, or was not made."""
    await pool.execute(GIVE_BACK, key)


async def clear(pool: asyncpg.Pool, key: str) -> None:
    """Forget all tries of a key."""
    await pool.execute(CLEAR, key)
