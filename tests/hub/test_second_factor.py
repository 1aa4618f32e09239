"""The second factor: set up, in force, asked for, used once, taken off."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import pyotp
import pytest

from hub import tokens
from hub.tokens import Kind
from models.access import Role
from tests.hub.accounts import (
    DISABLE,
    LOGIN,
    ME,
    PASSWORD,
    REFRESH,
    SETUP,
    STEP,
    USERS,
    VERIFY,
    actions,
    code,
    person,
    sign_in,
    signed_in,
    with_second_factor,
)
from tests.hub.rest import SECRET, Answer, Caller, Rest, serve, token

pytestmark = pytest.mark.usefixtures("still")


@pytest.fixture
async def ann(rest: Rest) -> Caller:
    return await person(rest, "ann")


async def second(rest: Rest, temp_token: str, given: str) -> Answer:
    return await rest.nobody.post(STEP, {"temp_token": temp_token, "token": given})


async def test_setting_up(rest: Rest, ann: Caller) -> None:
    here, pair = await signed_in(rest, "ann")
    there, _ = await signed_in(rest, "ann")
    first = (await here.call("POST", SETUP)).body
    made = await here.post(SETUP, {})
    assert (made.status, made.headers["Cache-Control"]) == (200, "no-store")
    secret = made.body["secret"]
    assert first["secret"] != secret, "until it is verified it can be begun anew"
    kind, picture = made.body["qr_code"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert pyotp.parse_uri(made.body["otpauth_url"]).secret == secret
    assert (await sign_in(rest, "ann")).status == 200
    assert "access" in (await sign_in(rest, "ann")).body, "not in force yet"
    for wrong in (code(first["secret"]), code(secret, steps=5), "x"):
        answer = await here.post(VERIFY, {"token": wrong})
        assert (answer.status, answer.body) == (400, {"error": "Invalid code."})
    answer = await here.post(VERIFY, {"token": code(secret)})
    assert (answer.status, len(set(answer.body["recovery_codes"]))) == (200, 10)
    assert (await here.get(ME)).body["two_factor_enabled"] is True
    assert (await there.get(ME)).status == 401, "other sign-ins end"
    assert (await rest.nobody.post(REFRESH, {"refresh": pair["refresh"]})).status == 200
    for path, body in ((SETUP, {}), (VERIFY, {"token": code(secret)})):
        assert (await here.post(path, body)).status == 400


async def test_the_second_step(rest: Rest, ann: Caller) -> None:
    secret, _ = await with_second_factor(rest, "ann")
    asked = await sign_in(rest, "ann")
    assert (asked.status, set(asked.body)) == (200, {"message", "temp_token", "user_id"})
    assert asked.body["user_id"] == ann.id
    temp = asked.body["temp_token"]
    life = tokens.read(SECRET, temp, Kind.SECOND_STEP)
    assert life.expires - life.issued == 300
    assert (await replace(ann, token=temp).get(ME)).status == 401, "it is no access token"
    assert (await rest.nobody.post(REFRESH, {"refresh": temp})).status == 401
    wrong = await second(rest, temp, code(secret, steps=7))
    assert (wrong.status, wrong.body) == (400, {"error": "Invalid code."})
    right = code(secret)
    answers = await asyncio.gather(*(second(rest, temp, right) for _ in range(3)))
    assert sorted(answer.status for answer in answers)[0] == 200
    assert [answer.status for answer in answers].count(200) == 1
    (pair,) = (answer.body for answer in answers if answer.status == 200)
    assert (set(pair), pair["user"]["id"]) == ({"access", "refresh", "user"}, ann.id)
    assert (await replace(ann, token=pair["access"]).get(ME)).status == 200
    assert (await second(rest, temp, code(secret, steps=1))).status == 401, "it was for one sign-in"
    again = (await sign_in(rest, "ann")).body["temp_token"]
    assert (await second(rest, again, right)).status == 400, "a code is good once"
    assert (await second(rest, again, code(secret, steps=1))).status == 200


async def test_a_second_step_ends_after_some_tries(database: str) -> None:
    async with serve(database, account_tries=0) as rest:
        await person(rest, "ann")
        secret, _ = await with_second_factor(rest, "ann")
        temp = (await sign_in(rest, "ann")).body["temp_token"]
        for _ in range(5):
            assert (await second(rest, temp, "000000" if code(secret) != "000000" else "1")).status == 400
        assert (await second(rest, temp, code(secret))).status == 401
        temp = (await sign_in(rest, "ann")).body["temp_token"]
        assert (await second(rest, temp, code(secret))).status == 200


async def test_wrong_codes_lock_the_account_whatever_token_they_come_with(rest: Rest, ann: Caller) -> None:
    secret, _ = await with_second_factor(rest, "ann")
    statuses = []
    for _ in range(6):
        temp = (await sign_in(rest, "ann")).body["temp_token"]
        statuses.append((await second(rest, temp, "nonsense")).status)
    assert statuses == [400] * 5 + [429]
    assert (await second(rest, temp, code(secret))).status == 429


async def test_temp_tokens_that_are_none(rest: Rest, ann: Caller) -> None:
    secret, _ = await with_second_factor(rest, "ann")
    temp = (await sign_in(rest, "ann")).body["temp_token"]
    claims = tokens.read(SECRET, temp, Kind.SECOND_STEP)
    bob = await person(rest, "bob")
    for bad in (
        token(ann.id),
        token(ann.id, kind=Kind.SECOND_STEP),
        tokens.sign(SECRET, replace(claims, user_id=bob.id)),
        tokens.sign(SECRET, replace(claims, expires=claims.issued - 1)),
        "nonsense",
    ):
        assert (await second(rest, bad, code(secret))).status == 401
    await rest.pool.execute("UPDATE crm_users SET is_active = false WHERE id = $1", ann.id)
    assert (await second(rest, temp, code(secret))).status == 401


async def test_recovery_codes_are_good_once(rest: Rest, ann: Caller) -> None:
    _, codes = await with_second_factor(rest, "ann")
    statuses = []
    for given in (codes[0].upper().replace("-", " "), codes[0], codes[1]):
        temp = (await sign_in(rest, "ann")).body["temp_token"]
        statuses.append((await second(rest, temp, given)).status)
    assert statuses == [200, 400, 200]
    assert [kind for kind, _ in await actions(rest)].count("recovery_code_used") == 2
    kept = await rest.pool.fetchval("SELECT jsonb_array_length(recovery_codes) FROM crm_users WHERE id = $1", ann.id)
    assert kept == 8


async def test_taking_it_off_needs_the_password_and_a_code(rest: Rest, ann: Caller) -> None:
    secret, codes = await with_second_factor(rest, "ann")
    temp = (await sign_in(rest, "ann")).body["temp_token"]
    here = replace(ann, token=(await second(rest, temp, codes[0])).body["access"])
    for body, status in (
        ({"password": "wrong", "token": code(secret)}, 400),
        ({"password": PASSWORD, "token": "nonsense"}, 400),
        ({"password": PASSWORD}, 400),
        ({"password": PASSWORD, "token": code(secret)}, 200),
        ({"password": PASSWORD, "token": code(secret)}, 400),
    ):
        assert (await here.post(DISABLE, body)).status == status, body
    assert "access" in (await sign_in(rest, "ann")).body
    row = await rest.pool.fetchrow("SELECT two_factor_secret, recovery_codes FROM crm_users WHERE id = $1", ann.id)
    assert tuple(row) == ("", "[]")


async def test_an_administrator_helps_whoever_has_lost_it(rest: Rest, ann: Caller) -> None:
    await with_second_factor(rest, "ann")
    admin, manager = await rest.user(Role.ADMIN), await rest.user(Role.MANAGER)
    path = f"{USERS}{ann.id}/reset_2fa/"
    assert (await manager.post(path, {})).status == 403
    assert (await admin.post(f"{USERS}{admin.id}/reset_2fa/", {})).status == 403
    assert (await admin.post(f"{USERS}999/reset_2fa/", {})).status == 404
    assert (await admin.post(path, {})).status == 200
    assert "access" in (await sign_in(rest, "ann")).body


async def test_secrets_stand_nowhere(rest: Rest, ann: Caller) -> None:
    secret, codes = await with_second_factor(rest, "ann")
    temp = (await sign_in(rest, "ann")).body["temp_token"]
    await second(rest, temp, codes[0])
    kept = await rest.pool.fetchval(
        "SELECT (SELECT string_agg(u::text, '') FROM crm_users u)"
        " || coalesce((SELECT string_agg(e.data::text, '') FROM events e), '')"
        " || (SELECT string_agg(a::text, '') FROM crm_account_actions a)"
    )
    for one in (secret, base64.b32decode(secret).hex(), *codes, PASSWORD):
        assert one not in kept
    sealed = await rest.pool.fetchval("SELECT two_factor_secret FROM crm_users WHERE id = $1", ann.id)
    told = await rest.pool.fetchval("SELECT string_agg(data::text, '') FROM events")
    assert sealed not in told
    assert "two_factor_step" not in told
    assert '"two_factor_enabled": true' in told


async def test_with_another_hub_secret_no_code_is_right(rest: Rest, database: str, ann: Caller) -> None:
    secret, _ = await with_second_factor(rest, "ann")
    async with serve(database, secret="another secret, just as long as it must be") as other:
        temp = (await sign_in(other, "ann")).body["temp_token"]
        assert (await second(other, temp, code(secret))).status == 400


async def test_a_step_begun_before_the_password_was_changed_is_over(rest: Rest, ann: Caller) -> None:
    secret, codes = await with_second_factor(rest, "ann")
    first, stale = [(await sign_in(rest, "ann")).body["temp_token"] for _ in range(2)]
    here = replace(ann, token=(await second(rest, first, codes[0])).body["access"])
    body = {"old_password": PASSWORD, "new_password": "another horse entirely"}
    assert (await here.post(f"{USERS}change_password/", body)).status == 200
    assert (await second(rest, stale, code(secret))).status == 401
    assert (await rest.nobody.post(LOGIN, {"username": "ann", "password": PASSWORD})).status == 400
