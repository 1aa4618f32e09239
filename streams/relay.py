"""The relay: takes what was committed to the log. One leads in the cluster, by an advisory lock in Postgres.

It numbers events in the order that Postgres makes right (`ledger`), commits, and only then lets lanes send them, one
for each partition of the log (`lane`). A number once committed is never given again, so whatever dies wherever, the
next relay repeats from the marks and nobody finds a hole: only repeats, which readers tell by their numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from asyncpg.exceptions import InterfaceError, InternalClientError, PostgresError
from prometheus_client import Gauge

from models import database
from models.events import WAKE_CHANNEL
from settings import Settings
from streams import kafka, log, restored
from streams.ledger import Ledger, MarksMoved
from streams.term import Term
from streams.topics import TOPICS

logger = structlog.get_logger()

LEADER = Gauge("relay_leader", "1 in the process whose relay leads")

#: Seconds between two tries for the lock.
STANDBY = 0.5
#: Seconds before a relay tries again that lost Postgres or Kafka.
BACKOFF = (0.5, 5.0)
#: Postgres ends the session, and with it the lock, of a relay whose host has vanished or which hangs; both in seconds
#: where it matters. Numbers must be on disk before they are used, whatever the server's default.
SESSION = {
    "application_name": "switchboard relay",
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "5000",
    "idle_session_timeout": "10000",
    "idle_in_transaction_session_timeout": "10000",
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
}
#: Seconds a statement may take before the connection counts as dead.
STATEMENT = 20.0

#: What ends a term of office and not the process: somebody else, or we again, take over. InternalClientError is what
#: asyncpg says of a connection that was ended between two statements.
PASSING = (PostgresError, InterfaceError, InternalClientError, KafkaError, OSError, TimeoutError, MarksMoved)


class Relay:
    """One candidate for the office. `run` is a task of the worker; several may run, one leads."""

    def __init__(self, settings: Settings, *, term: type[Term] = Term) -> None:
        self._settings = settings
        self._term = term
        self._wake = asyncio.Event()
        self._leads = False

    def wake(self) -> bool:
        """Have it look for new events at once, if it leads; whether it does."""
        if self._leads:
            self._wake.set()
        return self._leads

    async def run(self) -> None:
        """Lead whenever the lock can be had, for ever. Raises LogError when the log must be made anew."""
        pause, longest = BACKOFF
        while True:
            try:
                async with self._session() as connection:
                    await _lock(connection)
                    pause, _ = BACKOFF
                    await self._lead(connection)
            except PASSING as error:
                logger.warning("relay_waits", error=repr(error), seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(
            self._settings.database_url,
            timeout=10,
            command_timeout=STATEMENT,
            server_settings=SESSION,
            target_session_attrs="primary",
        )
        try:
            await connection.add_listener(WAKE_CHANNEL, lambda *_: self._wake.set())
            yield connection
        finally:
            connection.terminate()

    async def _lead(self, connection: asyncpg.Connection) -> None:
        """A term of office: check that all is as it was left, then number and send until something fails."""
        found = await log.current(connection)
        if any((topic.name, 0) not in found.partitions for topic in TOPICS):
            raise log.LogError("The log lacks topics that this version has; run `main.py migrate`.")
        await log.verify(self._settings, found)
        book = Ledger(connection)
        marks = await book.marks()
        ends = await restored.check(self._settings, connection, found, marks)
        async with database.pool(self._settings.database_url, size=3) as pool, kafka.producer(self._settings) as out:
            term = self._term(
                book=book, marks=marks, ends=ends, pool=pool, producer=out, settings=self._settings, wake=self._wake
            )
            logger.info("relay_took_over", log=found.id, unsent=sum(m.numbered - m.sent for m in marks.values()))
            self._leads = True
            LEADER.set(1)
            try:
                await term.run()
            except ExceptionGroup as group:
                raise _cause(group) from group
            finally:
                self._leads = False
                LEADER.set(0)
                logger.info("relay_stepped_down")


async def run(settings: Settings) -> None:
    """`main.py relay`: a relay and nothing else. Raises LogError."""
    await Relay(settings).run()


async def _lock(connection: asyncpg.Connection) -> None:
    # Not the waiting kind: a session that waits keeps a snapshot, and with it dead rows from being removed.
    while True:
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", log.RELAY_LOCK):
            return
        await asyncio.sleep(STANDBY)


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to act on: what needs an operator before what passes."""
    errors = [e if not isinstance(e, BaseExceptionGroup) else _cause(e) for e in group.exceptions]
    return next((e for e in errors if not isinstance(e, PASSING)), errors[0])
