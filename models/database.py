"""Connections to Postgres, and transactions that say who is changing something."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4
from weakref import WeakKeyDictionary

import asyncpg
import orjson
from tortoise.backends.base.client import (
    BaseDBAsyncClient,
    TransactionalDBClient,
    TransactionContext,
    TransactionContextPooled,
)
from tortoise.connection import get_connections
from tortoise.context import TortoiseContext, get_current_context, require_context
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from models.waking import Waker

#: Modules with tables.
MODULES = (
    "models.users",
    "models.sign_ins",
    "models.account_actions",
    "models.password_resets",
    "models.mails",
    "models.leads",
    "models.contacts",
    "models.opportunities",
    "models.tasks",
    "models.activities",
    "models.notifications",
    "models.audit",
    "models.timeline",
    "models.jobs",
    "models.custom_fields",
    "models.files",
    "models.uploads",
)

APPLICATION = "switchboard"

#: For the RETURNING of a statement that may be a transaction of its own: what it changes is captured under the context
#: whose JSON is that parameter. Capture comes after the last row was returned.
UNDER = "set_config('hub.context', ${}, true)"

#: The connections, half as many again, on which every statement is planned for the values it comes with.
PLANNED = "planned"

_through: ContextVar[asyncpg.Connection | None] = ContextVar("through", default=None)
_wakers: WeakKeyDictionary[TortoiseContext, Waker] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Context:
    """Who changes something, from where and for which request. It stands on every event of the transaction."""

    #: Id of the user; None for the system itself.
    actor: int | None = None
    ip: str | None = None
    user_agent: str = ""
    #: UUID of the request.
    request_id: str = field(default_factory=lambda: str(uuid4()))
    #: Where the change came from: api, agent, demo, migration ...
    source: str = "api"

    def json(self) -> str:
        """The value of the setting `hub.context`."""
        return orjson.dumps(
            {
                "actor": self.actor,
                "ip": self.ip,
                # What a client sent may hold what JSON or Postgres cannot.
                "user_agent": self.user_agent.replace("\0", "").encode(errors="replace").decode(),
                "request_id": self.request_id,
                "source": self.source,
            }
        ).decode()


async def _keep(connection: asyncpg.Connection) -> None:
    """Reset nothing on return to the pool: what we set is local to a transaction, and a round trip is saved."""


def config(url: str, *, size: int = 10) -> dict[str, Any]:
    """Tortoise's configuration for a `postgresql://` URL."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    credentials: dict[str, Any] = {
        "host": parts.hostname or options.pop("host", "localhost"),
        "port": parts.port or 5432,
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password) if parts.password else None,
        "database": parts.path.lstrip("/") or "postgres",
        "minsize": 1,
        "maxsize": size,
        "reset": _keep,
        "application_name": APPLICATION,
    }
    if "sslmode" in options:
        credentials["ssl"] = options["sslmode"]
    planned = {"maxsize": max(1, size // 2), "server_settings": {"plan_cache_mode": "force_custom_plan"}}
    engine = "tortoise.backends.asyncpg"
    return {
        "connections": {
            "default": {"engine": engine, "credentials": credentials},
            PLANNED: {"engine": engine, "credentials": credentials | planned},
        },
        "apps": {
            "models": {
                "models": list(MODULES),
                "default_connection": "default",
                "migrations": "models.migrations",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


@asynccontextmanager
async def orm(url: str, *, size: int = 10, waker: Waker | None = None) -> AsyncIterator[None]:
    """Tables usable as Tortoise models, with at most `size` connections and half as many for lists.

    `transaction` wakes `waker` on commit.

    What is started inside (tasks, servers) sees this database. So does code elsewhere in the process, as long as
    no other `orm` was opened before.
    """
    async with TortoiseContext() as context:
        # Handlers of a server may run in tasks that did not inherit our context variables.
        alone = get_current_context() is context and _no_fallback()
        await context.init(config(url, size=size), _enable_global_fallback=alone)
        if waker is not None:
            _wakers[context] = waker
        yield


def _no_fallback() -> bool:
    from tortoise import context

    return context._global_context is None


@asynccontextmanager
async def pool(url: str, *, size: int = 10, session: Mapping[str, str] | None = None) -> AsyncIterator[asyncpg.Pool]:
    """Plain asyncpg connections, at most `size`, with these session settings; jsonb comes and goes as text."""
    settings = {"application_name": APPLICATION, "synchronous_commit": "on", **(session or {})}
    async with asyncpg.create_pool(url, min_size=1, max_size=size, reset=_keep, server_settings=settings) as made:
        yield made


@asynccontextmanager
async def transaction(context: Context) -> AsyncIterator[BaseDBAsyncClient]:
    """A Tortoise transaction whose changes are captured under `context`; inside another one, a savepoint."""
    scope = in_transaction("default")
    try:
        client = await scope.__aenter__()
    except BaseException:
        await _give_back(scope)
        raise
    async with AsyncExitStack() as stack:
        stack.push_async_exit(scope)
        await client.execute_query("SELECT set_config('hub.context', $1, true)", [context.json()])
        yield client
    if isinstance(scope, TransactionContextPooled):
        _wake()


async def execute(sql: str, values: Sequence[Any], *, changes: bool = False) -> list[dict[str, Any]]:
    """The rows of a plain statement, in the transaction that is open here or else in one of its own.

    One that `changes` something stands for itself (`UNDER`), and wakes on its commit as `transaction` does. Raises
    IntegrityError for what the database does not accept.
    """
    if (connection := _through.get()) is not None:
        try:
            return [dict(row) for row in await connection.fetch(sql, *values)]
        except asyncpg.IntegrityConstraintViolationError as error:
            raise IntegrityError(error) from error
    client = get_connections().get("default")
    rows = await client.execute_query_dict(sql, list(values))
    if changes and not isinstance(client, TransactionalDBClient):
        _wake()
    return rows


async def query(sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows of a SELECT whose best plan depends on its values: it is planned for them, outside transactions."""
    if _through.get() is not None or isinstance(get_connections().get("default"), TransactionalDBClient):
        return await execute(sql, values)
    return await get_connections().get(PLANNED).execute_query_dict(sql, list(values))


@contextmanager
def through(connection: asyncpg.Connection | None) -> Iterator[None]:
    """Statements of `execute` and `query` run on this connection, in its transaction, rather than on the ORM's.

    With None they do run on one of the ORM's, each by itself.
    """
    token = _through.set(connection)
    try:
        yield
    finally:
        _through.reset(token)


@asynccontextmanager
async def savepoint() -> AsyncIterator[None]:
    """All or nothing of what is executed inside, in the transaction that is open here or else in one of its own."""
    connection = _through.get()
    async with in_transaction("default") if connection is None else connection.transaction():
        yield


def _wake() -> None:
    if waker := _wakers.get(require_context()):
        waker.wake()


async def _give_back(scope: TransactionContext) -> None:
    """Return the connection of a transaction that did not begin: Tortoise itself would keep it for ever."""
    if not isinstance(scope, TransactionContextPooled):
        return
    wrapper: Any = scope.client
    if wrapper._connection is not None:
        await wrapper._parent._pool.release(wrapper._connection)
    if hasattr(scope, "token"):
        get_connections().reset(scope.token)


@asynccontextmanager
async def change(
    pool: asyncpg.Pool, context: Context, *, waker: Waker | None = None
) -> AsyncIterator[asyncpg.Connection]:
    """The same on a plain connection: raw SQL whose changes are captured under `context`."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('hub.context', $1, true)", context.json())
        yield connection
    if waker is not None:
        waker.wake()
