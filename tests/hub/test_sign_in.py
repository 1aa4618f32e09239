"""Signing in and out, the next pair of tokens, and who one is."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from hub import expiry, tokens
from hub.tokens import Kind
from models.access import Role
from models.users import UserProfile
from tests.hub.accounts import LOGIN, LOGOUT, ME, PASSWORD, REFRESH, actions, person, sign_in, signed_in
from tests.hub.rest import SECRET, Caller, Rest, serve, token

KEYS = {
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "full_name",
    "role",
    "phone",
    "department",
    "is_active",
    "two_factor_enabled",
    "profile",
    "last_login",
    "date_joined",
}


@pytest.fixture
async def ann(rest: Rest) -> Caller:
    return await person(rest, "ann", Role.MANAGER, first_name="Ann", last_name="Ruud")


async def test_signing_in(rest: Rest, ann: Caller) -> None:
    before = await rest.changes()
    answer = await sign_in(rest, "ann")
    assert (answer.status, set(answer.body)) == (200, {"access", "refresh", "user"})
    assert answer.headers["Cache-Control"] == "no-store"
    user = answer.body["user"]
    assert set(user) == KEYS
    assert (user["full_name"], user["role"], user["profile"]) == ("Ann Ruud", "manager", None)
    assert user["last_login"] is not None
    me = await replace(ann, token=answer.body["access"]).get(ME)
    assert (me.status, me.body) == (200, user)
    assert (await replace(ann, token=answer.body["refresh"]).get(ME)).status == 401
    events = await rest.pool.fetch("SELECT type, data, context FROM events ORDER BY id OFFSET $1", before)
    assert [event["type"] for event in events] == ["account_action.created"], "a sign-in is no change of the user"
    assert await actions(rest) == [("login", ann.id)]


async def test_the_profile_is_shown(rest: Rest, ann: Caller) -> None:
    await UserProfile.create(user_id=ann.id, bio="Sells.", timezone="Europe/Oslo")
    assert (await ann.get(ME)).body["profile"] == {
        "bio": "Sells.",
        "timezone": "Europe/Oslo",
        "language": "en",
        "notification_preferences": {},
        "dashboard_preferences": {},
    }


async def test_an_email_is_as_good_as_a_name_if_only_one_has_it(rest: Rest, ann: Caller) -> None:
    for body in ({"username": "ANN@example.com"}, {"email": "ann@example.com"}):
        answer = await rest.nobody.post(LOGIN, {**body, "password": PASSWORD})
        assert (answer.status, answer.body["user"]["id"]) == (200, ann.id)
    other = await person(rest, "bob")
    await rest.pool.execute("UPDATE crm_users SET email = 'Ann@Example.com' WHERE id = $1", other.id)
    assert (await sign_in(rest, "ann@example.com")).status == 400
    assert (await sign_in(rest, "bob")).body["user"]["id"] == other.id
    await rest.pool.execute("UPDATE crm_users SET is_active = false WHERE id = $1", other.id)
    assert (await sign_in(rest, "ann@example.com")).body["user"]["id"] == ann.id


async def test_wrong_sign_ins_all_look_alike(database: str) -> None:
    async with serve(database, account_tries=0) as rest:
        await person(rest, "ann")
        gone = await person(rest, "gone", is_active=False)
        await rest.user(username="without")
        said = []
        for username, password in (
            ("ann", "wrong"),
            ("ann", f"{PASSWORD} "),
            ("Ann", PASSWORD),
            ("nobody", PASSWORD),
            ("gone", PASSWORD),
            ("without", "x"),
        ):
            answer = await sign_in(rest, username, password)
            said.append((answer.status, answer.body))
        assert len({str(one) for one in said}) == 1
        assert said[0] == (400, {"non_field_errors": ["Unable to sign in with these credentials."]})
        assert {kind for kind, _ in await actions(rest)} == {"login_failed"}
        rows = await rest.pool.fetch("SELECT user_id, user_name, details FROM crm_account_actions ORDER BY id")
        assert [row["user_name"] for row in rows] == ["ann", "ann", "", "", "gone", "without"], (
            "what was typed stays out"
        )
        assert rows[4]["user_id"] == gone.id


async def test_bad_sign_ins(rest: Rest) -> None:
    for body, fields in (
        ({}, {"username", "password"}),
        ({"username": ["a"], "password": {}}, {"username", "password"}),
        ({"username": "a", "password": ""}, {"password"}),
        ({"username": "a\x00", "password": "x"}, {"username"}),
        ({"username": "a", "password": "x" * 5000}, {"password"}),
        ({"username": "a", "password": "x", "otp": 1}, {"otp"}),
        ({"username": "a", "email": "b", "password": "x"}, {"email"}),
        (b"{", {"detail"}),
        ([], {"non_field_errors"}),
    ):
        answer = await rest.nobody.post(LOGIN, body)
        assert (answer.status, set(answer.body)) == (400, fields)


async def test_a_used_refresh_token_gives_the_same_successor_for_a_moment(rest: Rest, ann: Caller) -> None:
    pair = (await sign_in(rest, "ann")).body
    answers = await asyncio.gather(*(rest.nobody.post(REFRESH, {"refresh": pair["refresh"]}) for _ in range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["refresh"] for answer in answers}) == 1
    new = answers[0].body
    assert set(new) == {"access", "refresh"}
    assert new["refresh"] != pair["refresh"]
    for answer in answers:
        assert (await replace(ann, token=answer.body["access"]).get(ME)).status == 200
    assert (await rest.nobody.post(REFRESH, {"refresh": new["refresh"]})).status == 200


async def test_a_copy_of_a_used_refresh_token_ends_the_sign_in(rest: Rest, ann: Caller) -> None:
    first = (await sign_in(rest, "ann")).body
    other = (await sign_in(rest, "ann")).body
    second = (await rest.nobody.post(REFRESH, {"refresh": first["refresh"]})).body
    third = (await rest.nobody.post(REFRESH, {"refresh": second["refresh"]})).body
    before = await rest.changes()
    assert (await rest.nobody.post(REFRESH, {"refresh": first["refresh"]})).status == 401
    assert (await rest.nobody.post(REFRESH, {"refresh": third["refresh"]})).status == 401
    assert (await replace(ann, token=third["access"]).get(ME)).status == 401, "its access tokens are worth nothing"
    assert (await replace(ann, token=other["access"]).get(ME)).status == 200
    assert (await rest.nobody.post(REFRESH, {"refresh": other["refresh"]})).status == 200
    assert (await actions(rest))[-1] == ("token_reused", ann.id)
    assert await rest.changes() == before + 1, "told once"


async def test_the_last_but_one_is_a_copy_after_the_grace(database: str) -> None:
    async with serve(database, refresh_grace=0) as rest:
        ann = await person(rest, "ann")
        pair = (await sign_in(rest, "ann")).body
        answers = await asyncio.gather(*(rest.nobody.post(REFRESH, {"refresh": pair["refresh"]}) for _ in range(6)))
        assert sorted(answer.status for answer in answers) == [200] + [401] * 5
        (new,) = (answer.body for answer in answers if answer.status == 200)
        assert (await rest.nobody.post(REFRESH, {"refresh": new["refresh"]})).status == 401
        assert [kind for kind, _ in await actions(rest)] == ["login", "token_reused"]
        assert (await replace(ann, token=new["access"]).get(ME)).status == 401


async def test_bad_refresh_tokens(rest: Rest, ann: Caller) -> None:
    pair = (await sign_in(rest, "ann")).body
    unknown = tokens.sign(SECRET, tokens.claim(Kind.REFRESH, ann.id, 5, sign_in=uuid4()))
    loose, late = token(ann.id, kind=Kind.REFRESH), token(ann.id, kind=Kind.REFRESH, minutes=-1)
    for bad in (pair["access"], unknown, loose, late, "x.y.z", token(ann.id, kind=Kind.SECOND_STEP)):
        answer = await rest.nobody.post(REFRESH, {"refresh": bad})
        assert (answer.status, answer.body["code"]) == (401, "token_not_valid")
    for body in ({}, {"refresh": 5}, {"refresh": ""}, {"refresh": "x", "access": "y"}):
        assert (await rest.nobody.post(REFRESH, body)).status == 400
    stolen = tokens.read(SECRET, pair["refresh"], Kind.REFRESH)
    other = await person(rest, "bob")
    forged = tokens.sign(SECRET, replace(stolen, user_id=other.id))
    assert (await rest.nobody.post(REFRESH, {"refresh": forged})).status == 401
    await rest.pool.execute("UPDATE crm_users SET is_active = false WHERE id = $1", ann.id)
    assert (await rest.nobody.post(REFRESH, {"refresh": pair["refresh"]})).status == 401


async def test_signing_out_ends_one_sign_in_and_all_its_tokens(rest: Rest, ann: Caller) -> None:
    here, pair = await signed_in(rest, "ann")
    there, _ = await signed_in(rest, "ann")
    for _ in range(2):
        answer = await rest.nobody.post(LOGOUT, {"refresh": pair["refresh"]})
        assert (answer.status, answer.body) == (200, {"status": "success"})
    assert (await here.get(ME)).status == 401
    assert (await rest.nobody.post(REFRESH, {"refresh": pair["refresh"]})).status == 401
    assert (await there.get(ME)).status == 200
    assert (await there.call("POST", LOGOUT)).status == 200, "the access token says which sign-in"
    assert (await there.get(ME)).status == 401
    assert [kind for kind, _ in await actions(rest)] == ["login", "login", "logout", "logout"]
    assert (await rest.nobody.post(LOGOUT, {})).status == 400
    assert (await rest.nobody.post(LOGOUT, {"refresh": "x"})).status == 401
    assert (await there.call("POST", LOGOUT)).status == 401
    assert (await ann.get(ME)).status == 200, "an operator's token belongs to no sign-in"


async def test_an_ended_sign_in_is_known_within_the_time_a_role_may_be_old(rest: Rest, ann: Caller) -> None:
    """Sockets and publishes do with what was looked up a moment ago, but not for a sign-in that was not looked at."""
    from hub.keys import VIEWERS

    here, pair = await signed_in(rest, "ann")
    other, _ = await signed_in(rest, "ann")
    await rest.nobody.post(LOGOUT, {"refresh": pair["refresh"]})
    viewers = rest.app[VIEWERS]
    ended, live = (tokens.read(SECRET, one.token, Kind.ACCESS).sign_in for one in (here, other))
    assert await viewers.get(ann.id, sign_in=live, within=60) is not None
    assert await viewers.get(ann.id, sign_in=ended, within=60) is None
    assert await viewers.get(ann.id, sign_in=live, within=60) is not None, "the user has not become unknown by it"


async def test_expired_sign_ins_are_removed(rest: Rest, ann: Caller) -> None:
    for _ in range(2):
        await sign_in(rest, "ann")
    await rest.pool.execute("UPDATE sign_ins SET expires_at = now() WHERE id = (SELECT id FROM sign_ins LIMIT 1)")
    await expiry.remove_expired(rest.pool)
    assert await rest.pool.fetchval("SELECT count(*) FROM sign_ins") == 1


async def test_a_sign_in_lasts_as_long_as_its_last_refresh_token(rest: Rest, ann: Caller) -> None:
    pair = (await sign_in(rest, "ann")).body
    claims = tokens.read(SECRET, pair["refresh"], Kind.REFRESH)
    assert abs(claims.expires - time.time() - 7 * 24 * 3600) < 60
    assert tokens.read(SECRET, pair["access"], Kind.ACCESS).sign_in == claims.sign_in
    expires = await rest.pool.fetchval("SELECT expires_at FROM sign_ins WHERE id = $1", claims.sign_in)
    assert abs(expires.timestamp() - claims.expires) < 2


async def test_admins_may_be_held_to_a_second_factor(database: str) -> None:
    async with serve(database, require_admin_2fa=1) as rest:
        await person(rest, "ada", Role.ADMIN)
        await person(rest, "milo", Role.MANAGER)
        answer = await sign_in(rest, "ada")
        assert (answer.status, set(answer.body)) == (403, {"error"})
        assert (await sign_in(rest, "milo")).status == 200
