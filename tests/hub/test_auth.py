"""Signing in, the next pair of tokens, and who one is."""

from __future__ import annotations

import asyncio

import pytest

from hub import expiry
from hub.tokens import Kind
from models import passwords
from models.access import Role
from models.users import UserProfile
from tests.hub.rest import Caller, Rest, token

LOGIN, REFRESH, ME = "/api/auth/login/", "/api/auth/refresh/", "/api/auth/users/me/"

KEYS = {
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "full_name",
    "role",
    "is_active",
    "profile",
    "last_login",
    "date_joined",
}


@pytest.fixture
async def ann(rest: Rest) -> Caller:
    return await rest.user(
        Role.MANAGER, username="ann", first_name="Ann", last_name="Ruud", password=await passwords.hash("right horse")
    )


async def test_signing_in(rest: Rest, ann: Caller) -> None:
    before = await rest.changes()
    answer = await rest.nobody.post(LOGIN, {"username": "ann", "password": "right horse"})
    assert (answer.status, set(answer.body)) == (200, {"access", "refresh", "user"})
    user = answer.body["user"]
    assert set(user) == KEYS
    assert (user["full_name"], user["role"], user["profile"]) == ("Ann Ruud", "manager", None)
    me = await Caller(rest.http, rest.url, ann.id, answer.body["access"]).get(ME)
    assert (me.status, me.body) == (200, user)
    assert (await Caller(rest.http, rest.url, ann.id, answer.body["refresh"]).get(ME)).status == 401
    assert await rest.changes() == before, "a sign-in is no change of the user"


async def test_the_profile_is_shown(rest: Rest, ann: Caller) -> None:
    await UserProfile.create(user_id=ann.id, bio="Sells.", timezone="Europe/Oslo")
    assert (await ann.get(ME)).body["profile"] == {
        "bio": "Sells.",
        "timezone": "Europe/Oslo",
        "language": "en",
        "notification_preferences": {},
        "dashboard_preferences": {},
    }


async def test_wrong_sign_ins_all_look_alike(rest: Rest, ann: Caller) -> None:
    await rest.user(username="gone", is_active=False, password=await passwords.hash("right horse"))
    await rest.user(username="without")
    for username, password in (
        ("ann", "wrong"),
        ("ann", "right horse "),
        ("Ann", "right horse"),
        ("nobody", "right horse"),
        ("gone", "right horse"),
        ("without", ""),
        ("without", "x"),
    ):
        answer = await rest.nobody.post(LOGIN, {"username": username, "password": password})
        expected = ["non_field_errors"] if password else ["password"]
        assert (answer.status, list(answer.body)) == (400, expected), username


async def test_bad_sign_ins(rest: Rest) -> None:
    for body, fields in (
        ({}, {"username", "password"}),
        ({"username": ["a"], "password": {}}, {"username", "password"}),
        ({"username": "a\x00", "password": "x"}, {"username"}),
        ({"username": "a", "password": "x" * 5000}, {"password"}),
        ({"username": "a", "password": "x", "otp": 1}, {"otp"}),
        (b"{", {"detail"}),
        ([], {"non_field_errors"}),
    ):
        answer = await rest.nobody.post(LOGIN, body)
        assert (answer.status, set(answer.body)) == (400, fields)


async def test_a_refresh_token_is_good_once(rest: Rest, ann: Caller) -> None:
    pair = (await rest.nobody.post(LOGIN, {"username": "ann", "password": "right horse"})).body
    answers = await asyncio.gather(*(rest.nobody.post(REFRESH, {"refresh": pair["refresh"]}) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7
    (new,) = (answer.body for answer in answers if answer.status == 200)
    assert set(new) == {"access", "refresh"}
    assert (await Caller(rest.http, rest.url, ann.id, new["access"]).get(ME)).status == 200
    assert (await rest.nobody.post(REFRESH, {"refresh": new["refresh"]})).status == 200


async def test_bad_refresh_tokens(rest: Rest, ann: Caller) -> None:
    pair = (await rest.nobody.post(LOGIN, {"username": "ann", "password": "right horse"})).body
    unknown = token(ann.id, kind=Kind.REFRESH)
    for bad in (pair["access"], unknown, "x.y.z", token(ann.id, kind=Kind.REFRESH, minutes=-1)):
        answer = await rest.nobody.post(REFRESH, {"refresh": bad})
        assert (answer.status, answer.body["code"]) == (401, "token_not_valid")
    for body in ({}, {"refresh": 5}, {"refresh": ""}, {"refresh": "x", "access": "y"}):
        assert (await rest.nobody.post(REFRESH, body)).status == 400
    await rest.pool.execute("UPDATE crm_users SET is_active = false WHERE id = $1", ann.id)
    assert (await rest.nobody.post(REFRESH, {"refresh": pair["refresh"]})).status == 401


async def test_expired_refresh_tokens_are_removed(rest: Rest, ann: Caller) -> None:
    for _ in range(2):
        await rest.nobody.post(LOGIN, {"username": "ann", "password": "right horse"})
    await rest.pool.execute(
        "UPDATE refresh_tokens SET expires_at = now() WHERE jti = (SELECT jti FROM refresh_tokens LIMIT 1)"
    )
    await expiry.remove_expired(rest.pool)
    assert await rest.pool.fetchval("SELECT count(*) FROM refresh_tokens") == 1
