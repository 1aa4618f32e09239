"""What each role may do, as clients read it; and what was done with accounts."""

from __future__ import annotations

from hub.permissions import MODULES, PERMISSIONS, VERBS, granted
from models.access import Role, Viewer, may
from tests.hub.accounts import USERS, actions, person, sign_in, signed_in
from tests.hub.rest import Rest

PERMISSIONS_PATH, ROLES, LOGS = "/api/auth/permissions/", "/api/auth/role-permissions/", "/api/auth/audit-logs/"


def test_they_say_what_the_access_rules_say() -> None:
    for role in Role:
        held = set(granted(role))
        for module, entity in MODULES.items():
            for verb, action in VERBS.items():
                assert (f"{verb}_{module}" in held) == may(Viewer(id=1, role=role), action, entity)
    assert set(granted(Role.ADMIN)) == {permission.codename for permission, _ in PERMISSIONS}
    assert {"view_users", "view_team"} <= set(granted(Role.MANAGER))
    assert not {"create_users", "edit_users", "assign_roles", "view_audit_log"} & set(granted(Role.MANAGER))
    assert "view_deals" not in granted(Role.MARKETING)


async def test_both_lists(rest: Rest) -> None:
    admin, rep = await rest.user(Role.ADMIN), await rest.user(Role.SALES_REP)
    every = (await rep.get(f"{PERMISSIONS_PATH}?page_size=100")).body
    assert (every["count"], set(every["results"][0])) == (
        len(PERMISSIONS),
        {"id", "name", "codename", "description", "module"},
    )
    mine = (await rep.get(f"{ROLES}?page_size=100")).body["results"]
    assert {row["role"] for row in mine} == {"sales_rep"}
    assert [row["permission"]["codename"] for row in mine] == granted(Role.SALES_REP)
    assert (await admin.get(ROLES)).body["count"] == sum(len(granted(role)) for role in Role)
    assert (await rep.get(f"{PERMISSIONS_PATH}?page=9")).status == 404


async def test_everybody_reads_what_was_done_with_their_own_account(rest: Rest) -> None:
    admin = await person(rest, "ada", Role.ADMIN)
    await person(rest, "sam")
    await sign_in(rest, "sam", "wrong")
    sam, _ = await signed_in(rest, "sam")
    await sign_in(rest, "nobody", "wrong")
    mine = (await sam.get(LOGS)).body
    assert [row["action"] for row in mine["results"]] == ["login", "login_failed"]
    first = mine["results"][0]
    assert set(first) == {
        "id",
        "user",
        "user_name",
        "action",
        "model_name",
        "object_id",
        "details",
        "ip_address",
        "user_agent",
        "timestamp",
    }
    assert (first["user"], first["user_name"], first["ip_address"]) == (sam.id, "sam", "127.0.0.1")
    assert (await admin.get(LOGS)).body["count"] == len(await actions(rest)) == 3
    assert (await admin.get(f"{LOGS}?action=login_failed&user={sam.id}")).body["count"] == 1
    assert (await sam.get(f"{LOGS}?user={admin.id}")).body["count"] == 0
    oldest = (await sam.get(f"{LOGS}?ordering=timestamp")).body["results"][0]
    assert oldest["action"] == "login_failed"
    assert (await sam.get(f"{LOGS}?start_date=2100-01-01")).body["count"] == 0
    for bad in ("?action=x", "?user=x", "?ordering=id", "?start_date=x", "?colour=red"):
        assert (await sam.get(LOGS + bad)).status == 400
    manager = await rest.user(Role.MANAGER)
    assert (await manager.get(LOGS)).body["count"] == 0
    await manager.get(USERS)
