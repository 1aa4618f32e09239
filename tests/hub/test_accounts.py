"""Users: made, seen, changed and removed, each by whom it should be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from models.access import Role
from tests.hub.accounts import ME, OTHER, PASSWORD, USERS, person, sign_in, signed_in
from tests.hub.rest import Caller, Rest

CORE_ME = "/api/core/auth/me/"
NEW = {
    "username": "ida",
    "email": "ida@example.com",
    "first_name": "Ida",
    "last_name": "Holt",
    "password": OTHER,
    "password_confirm": OTHER,
}


@pytest.fixture
async def admin(rest: Rest) -> Caller:
    return await person(rest, "ada", Role.ADMIN)


def one(caller: Caller) -> str:
    return f"{USERS}{caller.id}/"


async def test_an_administrator_makes_a_user(rest: Rest, admin: Caller) -> None:
    made = await admin.post(USERS, {**NEW, "role": "marketing", "profile": {"timezone": "Europe/Oslo"}})
    assert made.status == 201
    assert (made.body["role"], made.body["is_active"], made.body["full_name"]) == ("marketing", True, "Ida Holt")
    assert made.body["profile"]["timezone"] == "Europe/Oslo"
    assert not {"password", "two_factor_secret", "recovery_codes"} & made.body.keys()
    assert (await sign_in(rest, "ida", OTHER)).body["user"]["id"] == made.body["id"]
    plain = await admin.post(USERS, {**NEW, "username": "ib", "email": "ib@example.com"})
    assert (plain.body["role"], plain.body["profile"]) == ("sales_rep", None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"password": "short", "password_confirm": "short"}, "password"),
        ({"password": None}, "password"),
        ({"password": 5}, "password"),
        ({"password": "ida@example.com1"}, "password"),
        ({"password_confirm": "something else"}, "password_confirm"),
        ({"username": "ada"}, "username"),
        ({"username": "ada@example.com"}, "username"),
        ({"username": "i d a"}, "username"),
        ({"username": ""}, "username"),
        ({"email": "ADA@example.com"}, "email"),
        ({"email": "nonsense"}, "email"),
        ({"role": "king"}, "role"),
        ({"is_active": "yes"}, "is_active"),
        ({"profile": {"timezone": "Mars/Olympus"}}, "profile.timezone"),
        ({"profile": {"language": "Klingon!"}}, "profile.language"),
        ({"profile": {"user": 1}}, "profile.user"),
        ({"profile": [1]}, "profile"),
        ({"is_staff": True}, "is_staff"),
        ({"is_superuser": True}, "is_superuser"),
        ({"id": 7}, "id"),
        ({"date_joined": "2020-01-01T00:00:00Z"}, "date_joined"),
        ({"two_factor_enabled": True}, "two_factor_enabled"),
        ({"two_factor_secret": "x"}, "two_factor_secret"),
        ({"recovery_codes": []}, "recovery_codes"),
    ],
)
async def test_what_cannot_be_made(rest: Rest, admin: Caller, changes: dict[str, Any], field: str) -> None:
    answer = await admin.post(USERS, {**NEW, **changes})
    assert (answer.status, list(answer.body)) == (400, [field])
    assert await rest.pool.fetchval("SELECT count(*) FROM crm_users") == 1


async def test_a_name_and_an_address_are_somebodys_alone(rest: Rest, admin: Caller) -> None:
    same_name = [{**NEW, "email": f"ida{n}@example.com"} for n in range(4)]
    same_address = [{**NEW, "username": f"ida{n}", "email": "ib@example.com"} for n in range(4)]
    for bodies, field in ((same_name, "username"), (same_address, "email")):
        answers = await asyncio.gather(*(admin.post(USERS, body) for body in bodies))
        assert sorted(answer.status for answer in answers) == [201, 400, 400, 400]
        assert {key for answer in answers if answer.status == 400 for key in answer.body} == {field}


async def test_who_sees_whom(rest: Rest, admin: Caller) -> None:
    others = {role: await rest.user(role) for role in Role if role is not Role.ADMIN}
    every = (await admin.get(USERS)).body
    assert (every["count"], every["results"][0]["date_joined"] is not None) == (6, True)
    assert set(every["results"][0]) == set((await admin.get(one(admin))).body)
    for role, caller in others.items():
        seen = (await caller.get(USERS)).body["results"]
        assert len(seen) == (6 if role is Role.MANAGER else 1)
        assert (await caller.get(one(caller))).status == 200
        assert (await caller.get(one(admin))).status == (200 if role is Role.MANAGER else 404)
    found = (await admin.get(f"{USERS}?role=viewer&is_active=true&ordering=-username&page_size=1")).body
    assert [user["id"] for user in found["results"]] == [others[Role.VIEWER].id]
    for bad in ("?role=king", "?password=x", "?ordering=password", "?two_factor_secret=x"):
        assert (await admin.get(USERS + bad)).status == 400


async def test_an_administrator_changes_anybody(rest: Rest, admin: Caller) -> None:
    sam = await rest.user(Role.VIEWER, username="sam")
    changed = await admin.patch(one(sam), {"role": "manager", "email": "s@example.com", "username": "sammy"})
    assert changed.status == 200
    assert [changed.body[key] for key in ("role", "email", "username")] == ["manager", "s@example.com", "sammy"]
    assert (await sam.get(USERS)).body["count"] == 2, "at once"
    whole = (await admin.get(one(sam))).body
    assert (await admin.put(one(sam), whole)).body == whole, "what is read can be written"
    assert (await admin.put(one(sam), {"first_name": "S"})).status == 400
    assert (await admin.patch(one(sam), {"username": "ada"})).status == 400
    assert (await admin.patch(one(sam), {"email": "ADA@example.com"})).status == 400
    assert (await admin.patch(f"{USERS}99999/", {"first_name": "x"})).status == 404
    assert (await admin.patch(f"{USERS}{2**70}/", {"first_name": "x"})).status == 404
    audited = await rest.pool.fetchval("SELECT context FROM events WHERE type = 'user.updated' ORDER BY id DESC")
    assert f'"actor": {admin.id}' in audited


FORBIDDEN: tuple[tuple[dict[str, Any], int], ...] = (
    ({"role": "admin"}, 403),
    ({"is_active": False}, 403),
    ({"username": "other"}, 403),
    ({"id": 99}, 400),
    ({"date_joined": "2020-01-01T00:00:00Z"}, 400),
    ({"last_login": "2020-01-01T00:00:00Z"}, 400),
    ({"two_factor_enabled": True}, 400),
    ({"is_staff": True}, 400),
    ({"is_superuser": True}, 400),
    ({"password": OTHER}, 400),
    ({"two_factor_secret": "x"}, 400),
    ({"recovery_codes": ["x"]}, 400),
    ({"email": "other@example.com"}, 400),
    ({"profile": {"user_id": 1}}, 400),
    ({"profile": {"id": "x"}}, 400),
)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_nobody_makes_themselves_more_than_they_are(rest: Rest, admin: Caller, role: Role) -> None:
    await person(rest, "sam", role)
    sam, _ = await signed_in(rest, "sam")
    read = "SELECT to_jsonb(u)::text || coalesce(p::text, '') FROM crm_users u LEFT JOIN crm_user_profiles p"
    row = f"{read} ON p.user_id = u.id WHERE u.id = $1"
    before = await rest.pool.fetchval(row, sam.id)
    for body, status in FORBIDDEN:
        for path in (one(sam), ME, CORE_ME):
            answer = await sam.patch(path, body)
            assert answer.status == status, (path, body, answer.body)
    assert await rest.pool.fetchval(row, sam.id) == before
    others = await sam.patch(one(admin), {"role": "viewer"})
    assert others.status == (403 if role is Role.MANAGER else 404)
    for answer in (
        await sam.post(USERS, {**NEW, "role": "admin"}),
        await sam.post(USERS, NEW),
        await sam.delete(one(sam)),
        await sam.post(f"{USERS}{sam.id}/reset_2fa/", {}),
    ):
        assert answer.status == 403
    assert (await sam.delete(one(admin))).status == (403 if role is Role.MANAGER else 404)


async def test_ones_own(rest: Rest, admin: Caller) -> None:
    await person(rest, "sam")
    sam, _ = await signed_in(rest, "sam")
    profile = {
        "bio": "Sells.",
        "timezone": "America/Sao_Paulo",
        "language": "pt-BR",
        "notification_preferences": {"email": False},
        "dashboard_preferences": {"columns": 2},
    }
    changed = await sam.patch(ME, {"first_name": "Sam", "phone": "+47 1", "profile": profile})
    assert (changed.status, changed.body["first_name"], changed.body["profile"]) == (200, "Sam", profile)
    again = (await sam.patch(CORE_ME, {"profile": {"bio": ""}})).body
    assert again["profile"] == {**profile, "bio": ""}
    assert (again["roles"], again["is_staff"]) == (["sales_rep"], False)
    assert "view_leads" in again["permissions"]
    assert "delete_users" not in again["permissions"]
    whole = (await sam.get(one(sam))).body
    assert (await sam.put(one(sam), whole)).body == whole
    events = await rest.pool.fetch("SELECT type FROM events WHERE type LIKE 'user_profile%' ORDER BY id")
    assert [event["type"] for event in events] == ["user_profile.created", "user_profile.updated"]


async def test_ones_own_address_needs_the_password(rest: Rest) -> None:
    await person(rest, "sam")
    sam, _ = await signed_in(rest, "sam")
    for given in ({}, {"current_password": "wrong"}, {"current_password": 5}):
        answer = await sam.patch(ME, {"email": "new@example.com", **given})
        assert (answer.status, list(answer.body)) == (400, ["error"])
    answer = await sam.patch(ME, {"email": "new@example.com", "current_password": PASSWORD})
    assert (answer.status, answer.body["email"]) == (200, "new@example.com")
    assert (await sam.patch(ME, {"email": "new@example.com", "first_name": "S"})).status == 200, "as it is"


async def test_deactivation_ends_all_sign_ins_for_good(rest: Rest, admin: Caller) -> None:
    await person(rest, "sam")
    sam, pair = await signed_in(rest, "sam")
    assert (await admin.patch(one(sam), {"is_active": False})).status == 200
    assert (await sam.get(ME)).status == 401
    assert (await sign_in(rest, "sam")).status == 400
    assert (await admin.patch(one(sam), {"is_active": True})).status == 200
    assert (await sam.get(ME)).status == 401
    assert (await rest.nobody.post("/api/auth/refresh/", {"refresh": pair["refresh"]})).status == 401
    assert (await sign_in(rest, "sam")).status == 200


async def test_who_is_manager_no_more_signs_in_again(rest: Rest, admin: Caller) -> None:
    await person(rest, "max", Role.MANAGER)
    manager, _ = await signed_in(rest, "max")
    await admin.patch(one(manager), {"department": "West"})
    assert (await manager.get(ME)).status == 200
    await admin.patch(one(manager), {"role": "sales_rep"})
    assert (await manager.get(ME)).status == 401
    rep, _ = await signed_in(rest, "max")
    await admin.patch(one(rep), {"role": "marketing"})
    assert (await rep.get(ME)).body["role"] == "marketing", "tokens carry no rights"


async def test_there_is_always_an_administrator(rest: Rest, admin: Caller) -> None:
    await rest.user(Role.ADMIN, username="idle", is_active=False)
    for answer in (
        await admin.patch(one(admin), {"role": "manager"}),
        await admin.patch(one(admin), {"is_active": False}),
        await admin.delete(one(admin)),
    ):
        assert (answer.status, answer.body) == (400, {"error": "This is the last active administrator."})
    assert (await admin.patch(one(admin), {"first_name": "Ada"})).status == 200
    second = await rest.user(Role.ADMIN, username="second")
    answers = await asyncio.gather(
        admin.patch(one(second), {"role": "viewer"}),
        second.patch(one(admin), {"is_active": False}),
        admin.delete(one(admin)),
        second.delete(one(second)),
    )
    assert {answer.status for answer in answers} & {200, 204}
    left = await rest.pool.fetchval("SELECT count(*) FROM crm_users WHERE role = 'admin' AND is_active")
    assert left == 1


async def test_a_removed_user_leaves_the_customers(rest: Rest, admin: Caller) -> None:
    sam = await rest.user(Role.SALES_REP, username="sam")
    lead = await sam.post("/api/v1/leads/", {"first_name": "a", "last_name": "b", "email": "c@example.com"})
    await sam.post("/api/v1/tasks/", {"title": "t", "assigned_to": sam.id})
    assert (await admin.delete(one(sam))).status == 204
    assert (await sam.get(ME)).status == 401
    assert (await admin.get(one(sam))).status == 404
    assert (await admin.get(f"/api/v1/leads/{lead.body['id']}/")).body["owner"] is None
    assert await rest.pool.fetchval("SELECT count(*) FROM crm_tasks") == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("leads", {"first_name": "a", "last_name": "b", "email": "c@example.com"}),
        ("contacts", {"first_name": "a", "last_name": "b", "email": "c@example.com"}),
        ("tasks", {"title": "t"}),
        ("opportunities", {"name": "o", "amount": "1", "expected_close_date": "2030-01-01"}),
    ],
)
async def test_records_take_no_more_than_their_fields(
    rest: Rest, admin: Caller, path: str, body: dict[str, Any]
) -> None:
    rep = await rest.user(Role.SALES_REP, username="rep")
    if path == "tasks":
        body = {**body, "assigned_to": rep.id}
    if path == "opportunities":
        contact = {"first_name": "k", "last_name": "b", "email": "k@example.com"}
        body = {**body, "contact": (await rep.post("/api/v1/contacts/", contact)).body["id"]}
    author = "owner" if path in ("leads", "opportunities") else "created_by"
    made = await rep.post(f"/api/v1/{path}/", body)
    assert (made.status, made.body[author]) == (201, rep.id)
    table = f"crm_{path}"
    before = await rest.pool.fetchval(f"SELECT to_jsonb(t)::text FROM {table} t WHERE id = $1", made.body["id"])
    for field, value in (
        (author, admin.id),
        ("id", 999),
        ("created_at", "2001-01-01T00:00:00Z"),
        (f"{author}_id", admin.id),
        ("role", "admin"),
        ("is_staff", True),
        ("converted_at" if path == "leads" else "pk", "2001-01-01T00:00:00Z"),
    ):
        at = f"/api/v1/{path}/{made.body['id']}/"
        for answer in (
            await rep.patch(at, {field: value}),
            await rep.put(at, {**body, field: value}),
            await rep.post(f"/api/v1/{path}/", {**body, "email": "n@example.com", field: value})
            if "email" in body
            else await rep.post(f"/api/v1/{path}/", {**body, field: value}),
        ):
            assert (answer.status, list(answer.body)) == (400, [field])
    assert await rest.pool.fetchval(f"SELECT to_jsonb(t)::text FROM {table} t WHERE id = $1", made.body["id"]) == before
