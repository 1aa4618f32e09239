"""One hub node: the aiohttp application, what it is wired to, and its start and stop."""

from __future__ import annotations

import asyncio
import errno
import signal
from contextlib import AsyncExitStack

import asyncpg
import structlog
from aiohttp import web

import settings as settings_module
from hub import configuration, definitions, errors, expiry, exports, files, live, requests, routes
from hub.access_log import AccessLog
from hub.addresses import PROXIES, Proxies
from hub.centrifuge.issuer import Issuer
from hub.connection_tokens import ISSUER
from hub.control import CONTROL
from hub.fold import FOLD
from hub.keys import CONFIGURATION, NAMESPACES, POOL, RATES, SECRET, SETTINGS, VIEWERS
from hub.media_types import MEDIA_TYPES
from hub.namespaces import Namespaces
from hub.rates import Rates
from hub.viewers import Viewers
from models import database
from models.access import LEADERS, Role
from models.blobs import Blobs
from models.waking import Waker
from settings import Settings, SettingsError

log = structlog.get_logger()

#: Connections to Postgres of one node: for the ORM, and for plain SQL, of which waking the relay, hearing of
#: rights and hearing of custom fields hold one each.
ORM_CONNECTIONS, POOL_CONNECTIONS = 10, 12

#: Connections the kernel holds until the node takes them: of a storm of clients that do not fit, each waits for seconds
#: until it tries again.
BACKLOG = 4096

#: Seconds that requests have to finish when the node stops.
DRAIN = 10.0


def application(settings: Settings, pool: asyncpg.Pool) -> web.Application:
    """The hub's application over an open pool; the ORM must be open too while it serves. Raises SettingsError."""
    app = web.Application(middlewares=[requests.identify, errors.answer_errors], client_max_size=requests.LARGEST_BODY)
    app[SETTINGS] = settings
    app[SECRET] = settings_module.secret(settings)
    app[CONFIGURATION] = configuration.load(settings)
    app[NAMESPACES] = Namespaces(app[CONFIGURATION].channel)
    app[ISSUER] = Issuer(app[CONFIGURATION].client, app[SECRET], life=60 * settings.access_minutes)
    app[POOL] = pool
    app[VIEWERS] = Viewers(pool)
    app[RATES] = Rates(user=settings.user_rate, address=settings.address_rate)
    if settings.registration and settings.registration not in {role.value for role in Role if role not in LEADERS}:
        raise SettingsError("HUB_REGISTRATION must be a role other than admin and manager.")
    try:
        app[PROXIES] = Proxies(settings.trusted_proxies)
    except ValueError as error:
        raise SettingsError(f"HUB_TRUSTED_PROXIES must be addresses or networks: {error}.") from None
    app.on_response_prepare.append(errors.mark_begun)
    app.on_response_prepare.append(requests.name_response)
    if strange := set(settings.file_types.split(",")) - MEDIA_TYPES.keys():
        raise SettingsError(f"HUB_FILE_TYPES has {min(strange)!r}; it may have {', '.join(MEDIA_TYPES)}.")
    app[files.BLOBS] = Blobs(settings.data / "files")
    app[definitions.DEFINITIONS] = definitions.Held(pool)
    app.cleanup_ctx.append(definitions.keep)
    app.cleanup_ctx.append(expiry.keep_removing)
    exports.add(app)
    routes.add(app)
    return app


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises SettingsError if the port is taken, and what ends the fold
    or the node's control.
    """
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(database.pool(settings.database_url, size=POOL_CONNECTIONS))
        waker = await stack.enter_async_context(Waker(pool))
        await stack.enter_async_context(database.orm(settings.database_url, size=ORM_CONNECTIONS, waker=waker))
        app = application(settings, pool)
        live.add(app)
        runner = web.AppRunner(
            app,
            handler_cancellation=True,
            shutdown_timeout=DRAIN,
            access_log_class=AccessLog,
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await _listen(runner, settings)
        ends = [app[FOLD].failed, app[CONTROL].failed]
        for failed in ends:
            failed.add_done_callback(lambda _: stop.set())
        await stop.wait()
        log.info("hub_stopping")
    log.info("hub_stopped")
    for failed in ends:
        if failed.done():
            failed.result()


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"Port {settings.port} on {settings.host} is taken; set HUB_PORT.") from None
        raise
    for host, port, *_ in runner.addresses:
        log.info("hub_listening", url=f"http://{host}:{port}")
