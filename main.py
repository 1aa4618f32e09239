"""What runs: the command line, and how the parts are put together.

`up` starts everything on a bare machine. The other commands run one part over the engines named by HUB_DATABASE_URL
and HUB_KAFKA, or else over those of the `up` that runs on the same data folder.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace

import structlog
import uvloop

import settings as settings_module
from engines import folder
from engines.child import EngineError
from engines.supervisor import ChildFailed
from settings import Settings, SettingsError

log = structlog.get_logger()

#: Exit codes after which a restart would not help: bad settings or no engine, and a log that is not the database's.
OPERATOR, OTHER_LOG = 2, 3
#: The one after which trying again helps: an engine is away, an agent stands still.
AGAIN = 1


async def up(settings: Settings, arguments: argparse.Namespace) -> None:
    """Start everything on this machine and keep it running until told to stop."""
    import up as module

    await module.run(settings)


async def hub(settings: Settings, arguments: argparse.Namespace) -> None:
    """Run one hub node: REST, WebSockets, console."""
    from hub import server

    _collect_seldom()
    await server.run(_placed(settings))


async def worker(settings: Settings, arguments: argparse.Namespace) -> None:
    """Run agents, and a relay that leads when no other does."""
    from streams import worker as module

    _collect_seldom()
    await module.run(_placed(settings), arguments.agents.split(",") if arguments.agents else None)


async def relay(settings: Settings, arguments: argparse.Namespace) -> None:
    """Run a relay alone."""
    from streams import relay as module

    await module.run(_placed(settings))


async def migrate(settings: Settings, arguments: argparse.Namespace) -> None:
    """Bring the database to the newest schema, and make the topics or check them."""
    import up as module

    settings = _placed(settings)
    await module.migrate(settings)
    await module.ensure_log(settings)


async def newlog(settings: Settings, arguments: argparse.Namespace) -> None:
    """Delete the topics and make them anew, after Postgres was restored or Kafka lost; hubs and workers are stopped."""
    import up as module

    await module.new_log(_placed(settings))


async def demo(settings: Settings, arguments: argparse.Namespace) -> None:
    """Fill an empty database with demo users and two years of records; another one is left alone."""
    import up as module

    await module.demo(_placed(settings))


async def token(settings: Settings, arguments: argparse.Namespace) -> None:
    """Print an access token for a user."""
    from hub import tokens
    from models import database

    settings = _placed(settings)
    async with database.pool(settings.database_url, size=1) as pool:
        user = await pool.fetchval("SELECT id FROM crm_users WHERE username = $1", arguments.username)
    if user is None:
        raise SettingsError(f"There is no user {arguments.username!r}.")
    minutes = arguments.minutes or settings.access_minutes
    print(tokens.sign(settings.secret, tokens.claim(tokens.Kind.ACCESS, user, minutes)))


async def rebuild(settings: Settings, arguments: argparse.Namespace) -> None:
    """Derive everything of one agent again from the events; nothing is published or sent meanwhile."""
    from models import database
    from streams import rebuild as module

    async with database.pool(_placed(settings).database_url, size=2) as pool:
        taken = await module.rebuild(pool, arguments.agent)
    print(f"The agent {arguments.agent} derived {taken} events again.")


async def dead(settings: Settings, arguments: argparse.Namespace) -> None:
    """List the events that agents gave up on, or derive them again."""
    from models import database
    from streams import dead as module

    async with database.pool(_placed(settings).database_url, size=2) as pool:
        for event in await module.list_dead(pool, arguments.agent or None):
            outcome = event.error
            if arguments.action == "retry":
                outcome = await _retried(module.retry(pool, event))
            when = event.failed_at.isoformat(timespec="seconds")
            print(f"{event.id}  {when}  {event.agent}  {event.key}  {event.type}  event {event.event_id}  {outcome}")


async def _retried(retry: Awaitable[None]) -> str:
    from streams.failures import is_of_the_event, told

    try:
        await retry
    except Exception as error:
        if not is_of_the_event(error):
            raise
        return f"fails again: {told(error)}"
    return "derived"


COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], Awaitable[None]]] = {
    "up": up,
    "hub": hub,
    "worker": worker,
    "relay": relay,
    "migrate": migrate,
    "newlog": newlog,
    "demo": demo,
    "token": token,
    "rebuild": rebuild,
    "dead": dead,
}


def _collect_seldom() -> None:
    """Look for garbage when there is more of it: a full look over many open sockets takes tens of milliseconds."""
    gc.set_threshold(20_000, 20, 50)


def _placed(settings: Settings) -> Settings:
    """Settings with both engines: those named, or those of the `up` that runs on the data folder."""
    settings = replace(settings, secret=settings_module.secret(settings))
    if settings.database_url and settings.kafka:
        return settings
    if not settings.embedded:
        raise SettingsError("HUB_DATABASE_URL and HUB_KAFKA go together; only `up` brings the one that is not named.")
    import up as module

    return module.embedded_waits(replace(settings, **asdict(folder.addresses(settings.data))))


def configure_log(form: str) -> None:
    """One line an event on standard error: for people (`console`) or machines (`json`), libraries' warnings too."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[structlog.types.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]
    if form == "console":
        render = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="main.py", description="Switchboard, a real-time message hub for a CRM.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {
        name: commands.add_parser(name, help=run.__doc__, description=run.__doc__) for name, run in COMMANDS.items()
    }
    parsers["worker"].add_argument("--agents", default="", help="their names with commas between; all by default")
    parsers["token"].add_argument("username")
    parsers["token"].add_argument("--minutes", type=int, help="its life; HUB_ACCESS_MINUTES by default")
    parsers["rebuild"].add_argument("agent")
    parsers["dead"].add_argument("action", choices=("list", "retry"))
    parsers["dead"].add_argument("--agent", default="", help="only this agent's")
    return made


async def _until_told(run: Awaitable[None]) -> None:
    """Run it; SIGTERM and SIGINT cancel it, and it ends when it has cleaned up."""
    task = asyncio.ensure_future(run)
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("stopped")


def _refusal(error: Exception) -> tuple[str, int] | None:
    """The sentence and exit code for an error that is the operator's to mend; None for a fault of ours."""
    import asyncpg
    from aiokafka.errors import KafkaConnectionError

    from streams.agents import UnknownAgent
    from streams.catchup import LogMismatch
    from streams.log import LogError
    from streams.rebuild import RebuildError
    from streams.watchdog import MemberStopped, WorkerStalled

    match error:
        case SettingsError() | EngineError() | UnknownAgent() | RebuildError():
            return str(error), OPERATOR
        case ChildFailed():
            return str(error), error.code
        case LogError() | LogMismatch():
            return str(error), OTHER_LOG
        case WorkerStalled() | MemberStopped():
            return str(error), AGAIN
        case KafkaConnectionError():
            return f"Kafka cannot be reached ({error}); see HUB_KAFKA.", AGAIN
        case asyncpg.InvalidAuthorizationSpecificationError() | asyncpg.InvalidCatalogNameError():
            return f"Postgres refused: {error}; see HUB_DATABASE_URL.", OPERATOR
        case ConnectionError():
            return f"Postgres cannot be reached ({error.strerror}); see HUB_DATABASE_URL.", AGAIN
        case OSError(errno=errno.EADDRINUSE):
            return f"A port is taken ({error.strerror}); set HUB_PORT or HUB_WORKER_PORT.", OPERATOR
        case ExceptionGroup(exceptions=[first, *_]):
            return _refusal(first)
    return None


def main() -> int:
    """Run one command; the exit code."""
    arguments = parser().parse_args()
    try:
        settings = settings_module.read()
        configure_log(settings.log_format)
        # Loops that libraries make in threads of their own (Faust's consumers) are fast ones too.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        uvloop.run(_until_told(COMMANDS[arguments.command](settings, arguments)))
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        print(refusal[0], file=sys.stderr)
        return refusal[1]
    return 0


if __name__ == "__main__":
    sys.exit(main())
