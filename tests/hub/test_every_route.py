"""Every route, asked by everybody: who is let in, who is not, and how that is said.

STATUS names each route of hub/routes.py; one that is not there, or is there no more, fails. Every request is as empty
as it can be: a 400 is the answer to somebody who was let in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import asyncpg

from hub.routes import ROUTES, Route
from models.access import Role
from settings import Settings
from tests.hub.nodes import Node, node, prepare

WHO = (None, *Role)

# By role, nobody first: what those who are signed in get, and those who need not be.
SIGNED_IN = "401 200 200 200 200 200 200"
SIGNED_IN_400 = "401 400 400 400 400 400 400"
SIGNED_IN_404 = "401 404 404 404 404 404 404"
ANYBODY_400 = "400 400 400 400 400 400 400"
ANYBODY = "200 200 200 200 200 200 200"
PREFLIGHT = "204 204 204 204 204 204 204"
DEFINERS = "401 200 200 403 403 403 403"
DEFINERS_400 = "401 400 400 403 403 403 403"
DEFINERS_204 = "401 204 204 403 403 403 403"
BY_KEY = "401 401 401 401 401 401 401"
NOBODY = "403 403 403 403 403 403 403"

#: The statuses for nobody and each role, in the order of WHO.
STATUS: Mapping[str, str] = {
    "POST /api/auth/login/": ANYBODY_400,
    "POST /api/auth/login/2fa/": ANYBODY_400,
    "POST /api/auth/refresh/": ANYBODY_400,
    "POST /api/auth/logout/": "400 200 200 200 200 200 200",
    "POST /api/auth/register/": NOBODY,
    "POST /api/auth/password-reset/": ANYBODY_400,
    "POST /api/auth/password-reset/confirm/": ANYBODY_400,
    "POST /api/core/auth/register/": NOBODY,
    "POST /api/core/auth/login/": ANYBODY_400,
    "POST /api/core/auth/logout/": "400 200 200 200 200 200 200",
    "POST /api/core/auth/token/refresh/": ANYBODY_400,
    "POST /api/core/auth/password-reset/": ANYBODY_400,
    "POST /api/core/auth/password-reset/confirm/": ANYBODY_400,
    "GET /api/auth/users/me/": SIGNED_IN,
    "PATCH /api/auth/users/me/": SIGNED_IN,
    "POST /api/auth/users/change_password/": SIGNED_IN_400,
    "POST /api/auth/users/setup_2fa/": SIGNED_IN,
    "POST /api/auth/users/verify_2fa/": SIGNED_IN_400,
    "POST /api/auth/users/disable_2fa/": SIGNED_IN_400,
    "GET /api/core/auth/me/": SIGNED_IN,
    "PATCH /api/core/auth/me/": SIGNED_IN,
    "POST /api/core/auth/change-password/": SIGNED_IN_400,
    "GET /api/auth/users/": SIGNED_IN,
    "POST /api/auth/users/": "401 400 403 403 403 403 403",
    "GET /api/auth/users/{id:[0-9]+}/": "401 200 200 404 404 404 404",
    "PUT /api/auth/users/{id:[0-9]+}/": "401 400 403 404 404 404 404",
    "PATCH /api/auth/users/{id:[0-9]+}/": "401 200 403 404 404 404 404",
    "DELETE /api/auth/users/{id:[0-9]+}/": "401 204 403 404 404 404 404",
    "POST /api/auth/users/{id:[0-9]+}/reset_2fa/": "401 200 403 403 403 403 403",
    "GET /api/auth/permissions/": SIGNED_IN,
    "GET /api/auth/role-permissions/": SIGNED_IN,
    "GET /api/auth/audit-logs/": SIGNED_IN,
    "GET /api/v1/": SIGNED_IN,
    "GET /api/v1/leads/": SIGNED_IN,
    "POST /api/v1/leads/": "401 400 400 400 403 403 403",
    "POST /api/v1/leads/bulk_update/": "401 400 400 400 403 403 403",
    "POST /api/v1/leads/import/": SIGNED_IN_400,
    "GET /api/v1/leads/statistics/": SIGNED_IN,
    "GET /api/v1/leads/{id:[0-9]+}/": "401 200 200 404 200 200 200",
    "PUT /api/v1/leads/{id:[0-9]+}/": "401 400 400 404 403 403 403",
    "PATCH /api/v1/leads/{id:[0-9]+}/": "401 200 200 404 403 403 403",
    "DELETE /api/v1/leads/{id:[0-9]+}/": "401 204 204 404 403 403 403",
    "POST /api/v1/leads/{id:[0-9]+}/convert/": "401 200 200 404 403 403 403",
    "GET /api/v1/contacts/": SIGNED_IN,
    "POST /api/v1/contacts/": "401 400 400 400 400 400 403",
    "POST /api/v1/contacts/bulk_update/": "401 400 400 400 400 400 403",
    "POST /api/v1/contacts/import/": SIGNED_IN_400,
    "GET /api/v1/contacts/statistics/": SIGNED_IN,
    "GET /api/v1/contacts/{id:[0-9]+}/": "401 200 200 404 200 200 200",
    "PUT /api/v1/contacts/{id:[0-9]+}/": "401 400 400 404 400 400 403",
    "PATCH /api/v1/contacts/{id:[0-9]+}/": "401 200 200 404 200 200 403",
    "DELETE /api/v1/contacts/{id:[0-9]+}/": "401 204 204 404 204 204 403",
    "GET /api/v1/opportunities/": SIGNED_IN,
    "POST /api/v1/opportunities/": "401 400 400 400 403 403 403",
    "POST /api/v1/opportunities/bulk_update/": "401 400 400 400 403 403 403",
    "POST /api/v1/opportunities/import/": SIGNED_IN_400,
    "GET /api/v1/opportunities/pipeline/": SIGNED_IN,
    "GET /api/v1/opportunities/{id:[0-9]+}/": "401 200 200 404 404 200 200",
    "PUT /api/v1/opportunities/{id:[0-9]+}/": "401 400 400 404 404 403 403",
    "PATCH /api/v1/opportunities/{id:[0-9]+}/": "401 200 200 404 404 403 403",
    "DELETE /api/v1/opportunities/{id:[0-9]+}/": "401 204 204 404 404 403 403",
    "POST /api/v1/opportunities/{id:[0-9]+}/update_stage/": SIGNED_IN_400,
    "GET /api/v1/tasks/": SIGNED_IN,
    "POST /api/v1/tasks/": "401 400 400 400 400 400 403",
    "POST /api/v1/tasks/bulk_update/": "401 400 400 400 400 400 403",
    "POST /api/v1/tasks/import/": SIGNED_IN_400,
    "GET /api/v1/tasks/statistics/": SIGNED_IN,
    "GET /api/v1/tasks/{id:[0-9]+}/": "401 200 200 404 404 200 200",
    "PUT /api/v1/tasks/{id:[0-9]+}/": "401 400 400 404 404 400 403",
    "PATCH /api/v1/tasks/{id:[0-9]+}/": "401 200 200 404 404 200 403",
    "DELETE /api/v1/tasks/{id:[0-9]+}/": "401 204 204 404 404 204 403",
    "POST /api/v1/tasks/{id:[0-9]+}/complete/": "401 200 200 404 404 200 403",
    "POST /api/v1/tasks/{id:[0-9]+}/reopen/": "401 200 200 404 404 200 403",
    "GET /api/leads/leads/": SIGNED_IN,
    "POST /api/leads/leads/": "401 400 400 400 403 403 403",
    "POST /api/leads/leads/bulk_update/": "401 400 400 400 403 403 403",
    "POST /api/leads/leads/bulk_delete/": "401 400 400 400 403 403 403",
    "GET /api/leads/leads/{id:[0-9]+}/": "401 200 200 404 200 200 200",
    "PUT /api/leads/leads/{id:[0-9]+}/": "401 400 400 404 403 403 403",
    "PATCH /api/leads/leads/{id:[0-9]+}/": "401 200 200 404 403 403 403",
    "DELETE /api/leads/leads/{id:[0-9]+}/": "401 204 204 404 403 403 403",
    "POST /api/leads/leads/{id:[0-9]+}/convert/": "401 200 200 404 403 403 403",
    "GET /api/contacts/contacts/": SIGNED_IN,
    "POST /api/contacts/contacts/": "401 400 400 400 400 400 403",
    "POST /api/contacts/contacts/bulk_update/": "401 400 400 400 400 400 403",
    "POST /api/contacts/contacts/bulk_delete/": "401 400 400 400 400 400 403",
    "GET /api/contacts/contacts/{id:[0-9]+}/": "401 200 200 404 200 200 200",
    "PUT /api/contacts/contacts/{id:[0-9]+}/": "401 400 400 404 400 400 403",
    "PATCH /api/contacts/contacts/{id:[0-9]+}/": "401 200 200 404 200 200 403",
    "DELETE /api/contacts/contacts/{id:[0-9]+}/": "401 204 204 404 204 204 403",
    "GET /api/opportunities/opportunities/": SIGNED_IN,
    "POST /api/opportunities/opportunities/": "401 400 400 400 403 403 403",
    "POST /api/opportunities/opportunities/bulk_update/": "401 400 400 400 403 403 403",
    "POST /api/opportunities/opportunities/bulk_delete/": "401 400 400 400 403 403 403",
    "GET /api/opportunities/opportunities/{id:[0-9]+}/": "401 200 200 404 404 200 200",
    "PUT /api/opportunities/opportunities/{id:[0-9]+}/": "401 400 400 404 404 403 403",
    "PATCH /api/opportunities/opportunities/{id:[0-9]+}/": "401 200 200 404 404 403 403",
    "DELETE /api/opportunities/opportunities/{id:[0-9]+}/": "401 204 204 404 404 403 403",
    "POST /api/opportunities/opportunities/{id:[0-9]+}/update_stage/": SIGNED_IN_400,
    "GET /api/opportunities/opportunities/pipeline/": SIGNED_IN,
    "GET /api/tasks/tasks/": SIGNED_IN,
    "POST /api/tasks/tasks/": "401 400 400 400 400 400 403",
    "POST /api/tasks/tasks/bulk_update/": "401 400 400 400 400 400 403",
    "POST /api/tasks/tasks/bulk_delete/": "401 400 400 400 400 400 403",
    "GET /api/tasks/tasks/{id:[0-9]+}/": "401 200 200 404 404 200 200",
    "PUT /api/tasks/tasks/{id:[0-9]+}/": "401 400 400 404 404 400 403",
    "PATCH /api/tasks/tasks/{id:[0-9]+}/": "401 200 200 404 404 200 403",
    "DELETE /api/tasks/tasks/{id:[0-9]+}/": "401 204 204 404 404 204 403",
    "POST /api/tasks/tasks/{id:[0-9]+}/complete/": "401 200 200 404 404 200 403",
    "POST /api/tasks/tasks/{id:[0-9]+}/reopen/": "401 200 200 404 404 200 403",
    "GET /api/tasks/tasks/dashboard/": SIGNED_IN,
    "GET /api/activity/notifications/": SIGNED_IN,
    "POST /api/activity/notifications/mark_all_read/": SIGNED_IN,
    "GET /api/activity/notifications/unread_count/": SIGNED_IN,
    "GET /api/activity/notifications/{id}/": SIGNED_IN_404,
    "POST /api/activity/notifications/{id}/mark_read/": SIGNED_IN_404,
    "GET /api/activity-feed/notifications/": SIGNED_IN,
    "POST /api/activity-feed/notifications/mark_all_read/": SIGNED_IN,
    "GET /api/activity-feed/notifications/unread_count/": SIGNED_IN,
    "GET /api/activity-feed/notifications/{id}/": SIGNED_IN_404,
    "POST /api/activity-feed/notifications/{id}/mark_read/": SIGNED_IN_404,
    "GET /api/v1/audit-trail/": SIGNED_IN,
    "GET /api/v1/audit-trail/{id}/": SIGNED_IN_404,
    "GET /api/v1/field-history/": SIGNED_IN,
    "GET /api/v1/field-history/{id}/": SIGNED_IN_404,
    "GET /api/v1/timeline/": SIGNED_IN,
    "GET /api/v1/timeline/{entity_type}/{id:[0-9]+}/": "401 200 200 404 200 200 200",
    "GET /api/v1/content-types/": SIGNED_IN,
    "POST /api/v1/files/": SIGNED_IN_400,
    "GET /api/v1/files/{id}/": SIGNED_IN_404,
    "GET /api/v1/files/{id}/info/": SIGNED_IN_404,
    "GET /api/v1/custom-fields/": SIGNED_IN,
    "POST /api/v1/custom-fields/": DEFINERS_400,
    "POST /api/v1/custom-fields/reorder/": DEFINERS_400,
    "GET /api/v1/custom-fields/{id:[0-9]+}/": SIGNED_IN,
    "PUT /api/v1/custom-fields/{id:[0-9]+}/": DEFINERS_400,
    "PATCH /api/v1/custom-fields/{id:[0-9]+}/": DEFINERS,
    "DELETE /api/v1/custom-fields/{id:[0-9]+}/": DEFINERS_204,
    "POST /api/v1/custom-fields/{id:[0-9]+}/rename_option/": DEFINERS_400,
    "POST /api/v1/custom-fields/{id:[0-9]+}/change_type/": DEFINERS_400,
    "POST /api/v1/custom-fields/{id:[0-9]+}/validate_value/": SIGNED_IN,
    "GET /api/v1/custom-field-groups/": SIGNED_IN,
    "POST /api/v1/custom-field-groups/": DEFINERS_400,
    "GET /api/v1/custom-field-groups/{id:[0-9]+}/": SIGNED_IN,
    "PUT /api/v1/custom-field-groups/{id:[0-9]+}/": DEFINERS_400,
    "PATCH /api/v1/custom-field-groups/{id:[0-9]+}/": DEFINERS,
    "DELETE /api/v1/custom-field-groups/{id:[0-9]+}/": DEFINERS_204,
    "GET /api/v1/custom-field-values/": SIGNED_IN,
    "POST /api/v1/custom-field-values/": SIGNED_IN_400,
    "GET /api/v1/custom-field-values/for_object/": SIGNED_IN_400,
    "POST /api/v1/custom-field-values/bulk_update/": SIGNED_IN_400,
    "GET /api/v1/custom-field-values/{id:[0-9]+}/": SIGNED_IN_404,
    "PUT /api/v1/custom-field-values/{id:[0-9]+}/": SIGNED_IN_404,
    "PATCH /api/v1/custom-field-values/{id:[0-9]+}/": SIGNED_IN_404,
    "DELETE /api/v1/custom-field-values/{id:[0-9]+}/": SIGNED_IN_404,
    "GET /api/v1/jobs/": SIGNED_IN,
    "GET /api/v1/jobs/{id}/": "401 200 200 404 404 404 404",
    "POST /api/v1/jobs/{id}/cancel/": "401 200 200 404 404 404 404",
    "POST /api/v1/jobs/{id}/resume/": "401 409 409 404 404 404 404",
    "GET /api/v1/imports/": SIGNED_IN,
    "POST /api/v1/imports/": SIGNED_IN_400,
    "GET /api/v1/imports/{id}/": "401 200 200 404 404 404 404",
    "PATCH /api/v1/imports/{id}/": "401 409 409 404 404 404 404",
    "DELETE /api/v1/imports/{id}/": "401 409 409 404 404 404 404",
    "POST /api/v1/imports/{id}/dry_run/": "401 409 409 404 404 404 404",
    "POST /api/v1/imports/{id}/run/": "401 409 409 404 404 404 404",
    "POST /api/v1/imports/{id}/undo/": "401 409 409 404 404 404 404",
    "GET /api/v1/imports/{id}/errors.csv": "401 409 409 404 404 404 404",
    "GET /api/v1/import/{type}/": SIGNED_IN,
    "POST /api/v1/import/{type}/": SIGNED_IN_400,
    "GET /api/v1/export/{type}/": SIGNED_IN,
    "POST /api/v1/publish/": "401 400 400 403 403 403 403",
    "POST /api/v1/connection-token/": SIGNED_IN,
    "POST /api/v1/subscription-token/": SIGNED_IN_400,
    "GET /ws/notifications/": SIGNED_IN_400,
    "GET /ws/activity/": SIGNED_IN_400,
    "GET /connection/websocket": ANYBODY_400,
    "POST /connection/http_stream": ANYBODY,
    "GET /connection/sse": ANYBODY_400,
    "POST /connection/sse": ANYBODY,
    "POST /emulation": ANYBODY_400,
    "GET /connection/uni_websocket": ANYBODY_400,
    "GET /connection/uni_sse": ANYBODY,
    "POST /connection/uni_sse": ANYBODY,
    "POST /connection/uni_http_stream": ANYBODY,
    "OPTIONS /connection/http_stream": PREFLIGHT,
    "OPTIONS /connection/sse": PREFLIGHT,
    "OPTIONS /connection/uni_sse": PREFLIGHT,
    "OPTIONS /connection/uni_http_stream": PREFLIGHT,
    "OPTIONS /emulation": PREFLIGHT,
    "POST /api/publish/": BY_KEY,
    "POST /api/broadcast/": BY_KEY,
    "POST /api/subscribe/": BY_KEY,
    "POST /api/unsubscribe/": BY_KEY,
    "POST /api/disconnect/": BY_KEY,
    "POST /api/refresh/": BY_KEY,
    "POST /api/history/": BY_KEY,
    "POST /api/history_remove/": BY_KEY,
    "POST /api/presence/": BY_KEY,
    "POST /api/presence_stats/": BY_KEY,
    "POST /api/channels/": BY_KEY,
    "POST /api/users/": BY_KEY,
    "POST /api/info/": BY_KEY,
    "POST /api/rpc/": BY_KEY,
    "POST /api/batch/": BY_KEY,
    "GET /api/schema/": ANYBODY,
    "GET /api/docs/": ANYBODY,
    "GET /api/docs/files/{name}": ANYBODY,
    "GET /api/redoc/": ANYBODY,
    "GET /": ANYBODY,
    "GET /page/{name}": ANYBODY,
    "GET /health/live": ANYBODY,
    "GET /health/ready": ANYBODY,
    "GET /metrics": ANYBODY,
}

MAKE = {
    "leads": "INSERT INTO crm_leads (first_name, last_name, email, owner_id, assigned_to_id)"
    " VALUES ('a', 'b', 'c', $1, $1) RETURNING id",
    "contacts": "INSERT INTO crm_contacts (first_name, last_name, email, created_by_id, assigned_to_id)"
    " VALUES ('a', 'b', gen_random_uuid()::text, $1, $1) RETURNING id",
    "opportunities": "WITH c AS (INSERT INTO crm_contacts (first_name, last_name, email, created_by_id, assigned_to_id)"
    " VALUES ('a', 'b', gen_random_uuid()::text, $1, $1) RETURNING id)"
    " INSERT INTO crm_opportunities (name, contact_id, amount, expected_close_date, owner_id, assigned_to_id)"
    " SELECT 'o', id, 1, '2030-01-01', $1, $1 FROM c RETURNING id",
    "tasks": "INSERT INTO crm_tasks (title, created_by_id, assigned_to_id) VALUES ('t', $1, $1) RETURNING id",
    "imports": "INSERT INTO imports (type, created_by_id) VALUES ('leads', $1) RETURNING id",
    "jobs": "INSERT INTO jobs (kind, status, created_by_id) VALUES ('bulk', 'running', $1) RETURNING id",
    "custom-fields": "INSERT INTO crm_custom_fields (name, label, field_type, content_type, created_by_id)"
    " VALUES ('f' || md5(random()::text), 'F', 'text', 3, $1) RETURNING id",
    "custom-field-groups": "INSERT INTO crm_custom_field_groups (name, content_type) VALUES ($1::bigint::text, 3)"
    " RETURNING id",
    "users": "INSERT INTO crm_users (username, email, password)"
    " VALUES (gen_random_uuid()::text, $1::bigint::text, '') RETURNING id",
}


async def ask(hub: Node, pool: asyncpg.Pool, route: Route, who: Role | None, users: Mapping[str, int]) -> int:
    """The status somebody gets, for a record of an administrator's."""
    path = route.path.replace("{entity_type}", "lead").replace("{name}", "page.js")
    path = re.sub(r"\{type[^}]*\}", "leads", path)
    if "{id" in path:
        kind = path.split("/")[3]
        key = await pool.fetchval(MAKE.get(kind, MAKE["leads"]), users["admin"])
        path = re.sub(r"\{id[^/]*\}", str(key), path)
    headers = hub.signed(users[who.value]) if who else {}
    body = None if route.method in ("GET", "DELETE", "OPTIONS") else b"{}"
    async with hub.http.request(route.method, hub.url + path, headers=headers, data=body) as reply:
        return reply.status


def test_every_route_is_in_the_table_and_nothing_else() -> None:
    assert list(STATUS) == list(dict.fromkeys(f"{route.method} {route.path}" for route in ROUTES))


async def test_who_gets_what(here: Settings) -> None:
    users, got = await prepare(here), {}
    async with node(here) as hub, asyncpg.create_pool(here.database_url, min_size=1, max_size=2) as pool:
        await hub.control.settled()
        for route in ROUTES:
            statuses = [await ask(hub, pool, route, who, users) for who in WHO]
            got[f"{route.method} {route.path}"] = " ".join(map(str, statuses))
    assert got == STATUS


async def test_refusals_are_json_and_say_how_to_come_in(here: Settings) -> None:
    await prepare(here)
    async with node(here) as hub:
        await hub.control.settled()
        for route in ROUTES:
            path = re.sub(r"\{[^}]*\}\}?", "1", route.path)
            for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
                data = b"{}" if route.method == "POST" else None
                async with hub.http.request(route.method, hub.url + path, headers=headers, data=data) as reply:
                    if reply.status == 401 and route.path.startswith(("/api/v1/", "/api/auth/", "/api/core/")):
                        assert "detail" in await reply.json()
                        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
                    assert reply.status < 500
