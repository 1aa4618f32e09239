"""What can be asked, and by whom: every route of the hub, its handler and who may call it.

Paths end in a slash that may be left out. SIGNED_IN leaves the rest to the access rules, record by record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from hub import (
    account_log,
    accounts,
    api_docs,
    bulk,
    connection_tokens,
    content_types,
    core_auth,
    custom_fields,
    custom_groups,
    custom_rewrites,
    custom_values,
    exports,
    files,
    health,
    imports,
    jobs,
    leads,
    legacy,
    one_shot_import,
    opportunities,
    page,
    passwords,
    permissions,
    publish,
    second_factor,
    sign_in,
    sockets,
    statistics,
    tasks,
    timeline,
)
from hub.centrifuge import api, emulation, http_stream, sse, stream, unidirectional, websocket
from hub.errors import Handler
from hub.history import AUDIT_TRAIL, FIELD_HISTORY
from hub.openapi.operation import Operation, documented
from hub.openapi.shapes import by_name
from hub.records import Records
from hub.requests import Who, guarded
from hub.responses import respond
from hub.statistics import Counted
from models.access import Role
from models.resources import statistics as numbers
from models.resources.accounts import ACCOUNTS
from models.resources.contacts import CONTACTS
from models.resources.leads import LEADS
from models.resources.opportunities import OPPORTUNITIES
from models.resources.resource import Resource
from models.resources.tasks import TASKS

PUBLIC = Who(signed_in=False)
#: For whoever watches the hub, however often they look.
WATCHERS = Who(signed_in=False, rated=False)
SIGNED_IN = Who()
#: Sends or is sent a file, however long that takes.
BY_FILE = Who(lasting=True)
ADMINS = Who(roles=frozenset({Role.ADMIN}))
#: Signed in as well, but a socket looks at its token itself: browsers can only put it elsewhere.
BY_TOKEN = Who(signed_in=False, lasting=True)
#: Signed in, and as long as the caller's line takes.
AT_LEISURE = Who(lasting=True)
#: Whoever has the key of the server API, which looks at it itself.
BY_KEY = Who(signed_in=False, lasting=True)
#: Goes on while Postgres is away, and has its own patience with Kafka.
PUBLISHERS = Who(roles=frozenset({Role.ADMIN, Role.MANAGER}), within=5.0, lasting=True, rated=False)

USERS = Records(ACCOUNTS)


@dataclass(frozen=True)
class Route:
    """One line of the page."""

    method: str
    path: str
    handler: Handler
    who: Who


def records(resource: Resource, name: str, counted: Counted) -> Iterator[Route]:
    """The routes every kind of record has; `counted` are the numbers over its list, and `name` is their path."""
    handlers = Records(resource)
    every, one = f"/api/v1/{resource.path}/", f"/api/v1/{resource.path}/{{id:[0-9]+}}/"
    yield Route("GET", every, handlers.index, SIGNED_IN)
    yield Route("POST", every, handlers.create, SIGNED_IN)
    yield Route("POST", f"{every}bulk_update/", bulk.handler(resource), SIGNED_IN)
    yield Route("POST", f"{every}import/", one_shot_import.handler(resource), BY_FILE)
    yield Route("GET", f"{every}{name}/", statistics.handler(handlers, counted), SIGNED_IN)
    yield Route("GET", one, handlers.retrieve, SIGNED_IN)
    yield Route("PUT", one, handlers.put, SIGNED_IN)
    yield Route("PATCH", one, handlers.patch, SIGNED_IN)
    yield Route("DELETE", one, handlers.delete, SIGNED_IN)


@documented(Operation(answers={200: by_name({"type": "string", "format": "uri"})}))
async def root(request: web.Request) -> web.Response:
    """The lists under /api/v1/, by name."""
    lists = [route.path for route in ROUTES if route.method == "GET" and re.fullmatch("/api/v1/[^{/]+/", route.path)]
    return respond({path.split("/")[3]: str(request.url.origin().with_path(path)) for path in lists})


def _custom_fields() -> Iterator[Route]:
    """Custom fields, their groups, and their values as the original API has them."""
    every, one = "/api/v1/custom-fields/", "/api/v1/custom-fields/{id:[0-9]+}/"
    of, changing = custom_fields.RECORDS, custom_fields.changing
    yield Route("GET", every, custom_fields.index, SIGNED_IN)
    yield Route("POST", every, changing(of.create), SIGNED_IN)
    yield Route("POST", f"{every}reorder/", changing(custom_fields.reorder), SIGNED_IN)
    yield Route("GET", one, of.retrieve, SIGNED_IN)
    yield Route("PUT", one, changing(custom_rewrites.put), SIGNED_IN)
    yield Route("PATCH", one, changing(custom_rewrites.patch), SIGNED_IN)
    yield Route("DELETE", one, custom_rewrites.delete, SIGNED_IN)
    yield Route("POST", f"{one}rename_option/", custom_rewrites.rename_option, SIGNED_IN)
    yield Route("POST", f"{one}change_type/", custom_rewrites.change_type, SIGNED_IN)
    yield Route("POST", f"{one}validate_value/", custom_fields.validate_value, SIGNED_IN)
    every, one = "/api/v1/custom-field-groups/", "/api/v1/custom-field-groups/{id:[0-9]+}/"
    yield Route("GET", every, custom_groups.index, SIGNED_IN)
    yield Route("POST", every, custom_groups.create, SIGNED_IN)
    yield Route("GET", one, custom_groups.retrieve, SIGNED_IN)
    yield Route("PUT", one, custom_groups.put, SIGNED_IN)
    yield Route("PATCH", one, custom_groups.patch, SIGNED_IN)
    yield Route("DELETE", one, custom_groups.delete, SIGNED_IN)
    every, one = "/api/v1/custom-field-values/", "/api/v1/custom-field-values/{id:[0-9]+}/"
    yield Route("GET", every, custom_values.index, SIGNED_IN)
    yield Route("POST", every, custom_values.create, SIGNED_IN)
    yield Route("GET", f"{every}for_object/", custom_values.for_object, SIGNED_IN)
    yield Route("POST", f"{every}bulk_update/", custom_values.bulk_update, SIGNED_IN)
    yield Route("GET", one, custom_values.retrieve, SIGNED_IN)
    yield Route("PUT", one, custom_values.update, SIGNED_IN)
    yield Route("PATCH", one, custom_values.update, SIGNED_IN)
    yield Route("DELETE", one, custom_values.delete, SIGNED_IN)


ROUTES: tuple[Route, ...] = (
    # signing in
    Route("POST", "/api/auth/login/", sign_in.login, PUBLIC),
    Route("POST", "/api/auth/login/2fa/", sign_in.second_step, PUBLIC),
    Route("POST", "/api/auth/refresh/", sign_in.refresh, PUBLIC),
    Route("POST", "/api/auth/logout/", sign_in.logout, PUBLIC),
    Route("POST", "/api/auth/register/", core_auth.register, PUBLIC),
    Route("POST", "/api/auth/password-reset/", passwords.ask_reset, PUBLIC),
    Route("POST", "/api/auth/password-reset/confirm/", passwords.confirm_reset, PUBLIC),
    Route("POST", "/api/core/auth/register/", core_auth.register, PUBLIC),
    Route("POST", "/api/core/auth/login/", core_auth.login, PUBLIC),
    Route("POST", "/api/core/auth/logout/", sign_in.logout, PUBLIC),
    Route("POST", "/api/core/auth/token/refresh/", sign_in.refresh, PUBLIC),
    Route("POST", "/api/core/auth/password-reset/", passwords.ask_reset, PUBLIC),
    Route("POST", "/api/core/auth/password-reset/confirm/", passwords.confirm_reset, PUBLIC),
    # one's own account
    Route("GET", "/api/auth/users/me/", accounts.me, SIGNED_IN),
    Route("PATCH", "/api/auth/users/me/", accounts.change_me, SIGNED_IN),
    Route("POST", "/api/auth/users/change_password/", passwords.change, SIGNED_IN),
    Route("POST", "/api/auth/users/setup_2fa/", second_factor.setup, SIGNED_IN),
    Route("POST", "/api/auth/users/verify_2fa/", second_factor.verify, SIGNED_IN),
    Route("POST", "/api/auth/users/disable_2fa/", second_factor.disable, SIGNED_IN),
    Route("GET", "/api/core/auth/me/", core_auth.me, SIGNED_IN),
    Route("PATCH", "/api/core/auth/me/", core_auth.change_me, SIGNED_IN),
    Route("POST", "/api/core/auth/change-password/", core_auth.change_password, SIGNED_IN),
    # everybody's
    Route("GET", "/api/auth/users/", USERS.index, SIGNED_IN),
    Route("POST", "/api/auth/users/", accounts.create, ADMINS),
    Route("GET", "/api/auth/users/{id:[0-9]+}/", USERS.retrieve, SIGNED_IN),
    Route("PUT", "/api/auth/users/{id:[0-9]+}/", accounts.put, SIGNED_IN),
    Route("PATCH", "/api/auth/users/{id:[0-9]+}/", accounts.patch, SIGNED_IN),
    Route("DELETE", "/api/auth/users/{id:[0-9]+}/", accounts.delete, SIGNED_IN),
    Route("POST", "/api/auth/users/{id:[0-9]+}/reset_2fa/", second_factor.reset, ADMINS),
    Route("GET", "/api/auth/permissions/", permissions.index, SIGNED_IN),
    Route("GET", "/api/auth/role-permissions/", permissions.of_roles, SIGNED_IN),
    Route("GET", "/api/auth/audit-logs/", account_log.index, SIGNED_IN),
    # records
    Route("GET", "/api/v1/", root, SIGNED_IN),
    *records(LEADS, "statistics", numbers.leads),
    Route("POST", "/api/v1/leads/{id:[0-9]+}/convert/", leads.convert, SIGNED_IN),
    *records(CONTACTS, "statistics", numbers.contacts),
    *records(OPPORTUNITIES, "pipeline", numbers.pipeline),
    Route("POST", "/api/v1/opportunities/{id:[0-9]+}/update_stage/", opportunities.update_stage, SIGNED_IN),
    *records(TASKS, "statistics", numbers.tasks),
    Route("POST", "/api/v1/tasks/{id:[0-9]+}/complete/", tasks.complete, SIGNED_IN),
    Route("POST", "/api/v1/tasks/{id:[0-9]+}/reopen/", tasks.reopen, SIGNED_IN),
    # the same under the paths of shipped clients, and notifications
    *(Route(method, path, handler, SIGNED_IN) for method, path, handler in legacy.lines()),
    # what happened
    Route("GET", "/api/v1/audit-trail/", AUDIT_TRAIL.index, SIGNED_IN),
    Route("GET", "/api/v1/audit-trail/{id}/", AUDIT_TRAIL.retrieve, SIGNED_IN),
    Route("GET", "/api/v1/field-history/", FIELD_HISTORY.index, SIGNED_IN),
    Route("GET", "/api/v1/field-history/{id}/", FIELD_HISTORY.retrieve, SIGNED_IN),
    Route("GET", "/api/v1/timeline/", timeline.index, SIGNED_IN),
    Route("GET", "/api/v1/timeline/{entity_type}/{id:[0-9]+}/", timeline.of_record, SIGNED_IN),
    Route("GET", "/api/v1/content-types/", content_types.index, SIGNED_IN),
    # files
    Route("POST", "/api/v1/files/", files.upload, AT_LEISURE),
    Route("GET", "/api/v1/files/{id}/", files.download, AT_LEISURE),
    Route("GET", "/api/v1/files/{id}/info/", files.info, SIGNED_IN),
    # custom fields
    *_custom_fields(),
    # long work
    Route("GET", "/api/v1/jobs/", jobs.RECORDS.index, SIGNED_IN),
    Route("GET", "/api/v1/jobs/{id}/", jobs.RECORDS.retrieve, SIGNED_IN),
    Route("POST", "/api/v1/jobs/{id}/cancel/", jobs.cancel, SIGNED_IN),
    Route("POST", "/api/v1/jobs/{id}/resume/", jobs.resume, SIGNED_IN),
    # files in and out
    Route("GET", "/api/v1/imports/", imports.RECORDS.index, SIGNED_IN),
    Route("POST", "/api/v1/imports/", imports.upload, BY_FILE),
    Route("GET", "/api/v1/imports/{id}/", imports.retrieve, SIGNED_IN),
    Route("PATCH", "/api/v1/imports/{id}/", imports.change, SIGNED_IN),
    Route("DELETE", "/api/v1/imports/{id}/", imports.delete, BY_FILE),
    Route("POST", "/api/v1/imports/{id}/dry_run/", imports.dry_run, SIGNED_IN),
    Route("POST", "/api/v1/imports/{id}/run/", imports.run, SIGNED_IN),
    Route("POST", "/api/v1/imports/{id}/undo/", imports.undo, SIGNED_IN),
    Route("GET", "/api/v1/imports/{id}/errors.csv", imports.errors, BY_FILE),
    Route("GET", "/api/v1/import/{type}/", one_shot_import.header, SIGNED_IN),
    Route("POST", "/api/v1/import/{type}/", one_shot_import.at_once, BY_FILE),
    Route("GET", "/api/v1/export/{type}/", exports.export, BY_FILE),
    # live
    Route("POST", "/api/v1/publish/", publish.publish, PUBLISHERS),
    Route("POST", "/api/v1/connection-token/", connection_tokens.connection, SIGNED_IN),
    Route("POST", "/api/v1/subscription-token/", connection_tokens.subscription, SIGNED_IN),
    Route("GET", "/ws/notifications/", sockets.notifications, BY_TOKEN),
    Route("GET", "/ws/activity/", sockets.activity, BY_TOKEN),
    Route("GET", "/connection/websocket", websocket.websocket, BY_TOKEN),
    Route("POST", "/connection/http_stream", http_stream.http_stream, BY_TOKEN),
    Route("GET", "/connection/sse", sse.sse, BY_TOKEN),
    Route("POST", "/connection/sse", sse.sse, BY_TOKEN),
    Route("POST", "/emulation", emulation.emulation, BY_TOKEN),
    Route("GET", "/connection/uni_websocket", unidirectional.uni_websocket, BY_TOKEN),
    Route("GET", "/connection/uni_sse", unidirectional.uni_sse, BY_TOKEN),
    Route("POST", "/connection/uni_sse", unidirectional.uni_sse, BY_TOKEN),
    Route("POST", "/connection/uni_http_stream", unidirectional.uni_http_stream, BY_TOKEN),
    Route("OPTIONS", "/connection/http_stream", stream.preflight, PUBLIC),
    Route("OPTIONS", "/connection/sse", stream.preflight, PUBLIC),
    Route("OPTIONS", "/connection/uni_sse", stream.preflight, PUBLIC),
    Route("OPTIONS", "/connection/uni_http_stream", stream.preflight, PUBLIC),
    Route("OPTIONS", "/emulation", stream.preflight, PUBLIC),
    # backends: the server API
    *(Route("POST", f"/api/{name}/", handler, BY_KEY) for name, handler in api.HANDLERS.items()),
    # what describes all this
    Route("GET", "/api/schema/", api_docs.schema, PUBLIC),
    Route("GET", "/api/docs/", api_docs.index, PUBLIC),
    Route("GET", "/api/docs/files/{name}", api_docs.asset, PUBLIC),
    Route("GET", "/api/redoc/", api_docs.redoc, PUBLIC),
    # the page, and what operators' tools ask
    Route("GET", "/", page.index, PUBLIC),
    Route("GET", "/page/{name}", page.asset, PUBLIC),
    Route("GET", "/health/live", health.live, WATCHERS),
    Route("GET", "/health/ready", health.ready, WATCHERS),
    Route("GET", "/metrics", health.metrics, WATCHERS),
)


def add(app: web.Application) -> None:
    """Put the routes on the application, each with and without its last slash."""
    app[api_docs.DOCUMENT] = api_docs.Document(ROUTES)
    for route in ROUTES:
        handler = guarded(route.handler, route.who)
        for path in dict.fromkeys((route.path, route.path.rstrip("/") or "/")):
            app.router.add_route(route.method, path, handler)
