"""Changing a password, and setting a new one by mail."""

from __future__ import annotations

import asyncio
import re

import asyncpg
import pytest

from tests.hub.accounts import ME, OTHER, PASSWORD, REFRESH, USERS, actions, person, sign_in, signed_in
from tests.hub.rest import Answer, Caller, Rest, serve

CHANGE, CORE_CHANGE = f"{USERS}change_password/", "/api/core/auth/change-password/"
ASK, CONFIRM = "/api/auth/password-reset/", "/api/auth/password-reset/confirm/"


@pytest.fixture
async def ann(rest: Rest) -> Caller:
    return await person(rest, "ann", first_name="Annabella", last_name="Ruudsdottir")


async def mailed(pool: asyncpg.Pool) -> tuple[str, str]:
    """The uid and token of the newest mail."""
    body = await pool.fetchval("SELECT body FROM mails ORDER BY created_at DESC LIMIT 1")
    found = re.search(r"http://127\.0\.0\.1:8000/#reset/(\d+)/(\S+)", body)
    assert found is not None, body
    return found[1], found[2]


async def confirm(rest: Rest, uid: str, token: str, password: str = OTHER) -> Answer:
    return await rest.nobody.post(CONFIRM, {"uid": uid, "token": token, "new_password": password})


async def test_changing_it(rest: Rest, ann: Caller) -> None:
    here, pair = await signed_in(rest, "ann")
    there, other = await signed_in(rest, "ann")
    wrong = await here.post(CHANGE, {"old_password": "no", "new_password": OTHER, "new_password_confirm": OTHER})
    assert (wrong.status, wrong.body) == (400, {"error": "Old password is incorrect."})
    for body, field in (
        ({"old_password": PASSWORD, "new_password": OTHER, "new_password_confirm": "x"}, "new_password_confirm"),
        ({"old_password": PASSWORD, "new_password": PASSWORD}, "new_password"),
        ({"old_password": PASSWORD, "new_password": "short"}, "new_password"),
        ({"old_password": PASSWORD, "new_password": "annabella.ruudsdottir"}, "new_password"),
        ({"old_password": PASSWORD}, "new_password"),
    ):
        answer = await here.post(CHANGE, body)
        assert (answer.status, list(answer.body)) == (400, [field])
    answer = await here.post(CHANGE, {"old_password": PASSWORD, "new_password": OTHER, "new_password_confirm": OTHER})
    assert (answer.status, set(answer.body)) == (200, {"message"})
    assert (await here.get(ME)).status == 200, "who changed it stays"
    assert (await rest.nobody.post(REFRESH, {"refresh": pair["refresh"]})).status == 200
    assert (await there.get(ME)).status == 401
    assert (await rest.nobody.post(REFRESH, {"refresh": other["refresh"]})).status == 401
    assert (await sign_in(rest, "ann")).status == 400
    assert (await sign_in(rest, "ann", OTHER)).status == 200
    again = await here.post(CORE_CHANGE, {"current_password": OTHER, "new_password": PASSWORD})
    assert again.status == 200
    assert [kind for kind, _ in await actions(rest)].count("password_changed") == 2


async def test_two_changes_at_a_time_are_one(rest: Rest, ann: Caller) -> None:
    here, _ = await signed_in(rest, "ann")
    bodies = [{"old_password": PASSWORD, "new_password": f"{OTHER} {number}"} for number in range(4)]
    answers = await asyncio.gather(*(here.post(CHANGE, body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [200, 400, 400, 400]


async def test_guessing_the_old_one_locks(rest: Rest, ann: Caller) -> None:
    body = {"old_password": "a wrong password", "new_password": OTHER}
    assert [(await ann.post(CHANGE, body)).status for _ in range(6)] == [400] * 5 + [429]
    assert (await ann.patch(ME, {"current_password": PASSWORD})).status == 429, "the same count, wherever it is asked"
    assert (await sign_in(rest, "ann")).status == 200


async def test_a_new_one_by_mail(rest: Rest, ann: Caller) -> None:
    here, pair = await signed_in(rest, "ann")
    nobody = await rest.nobody.post(ASK, {"email": "nobody@example.com"})
    assert await rest.pool.fetchval("SELECT count(*) FROM mails") == 0
    asked = await rest.nobody.post(ASK, {"email": "Ann@example.com"})
    assert (asked.status, asked.body) == (nobody.status, nobody.body) == (200, nobody.body)
    mail = await rest.pool.fetchrow("SELECT * FROM mails")
    assert (mail["recipient"], mail["status"]) == ("ann@example.com", "pending")
    assert "ann" in mail["body"]
    uid, token = await mailed(rest.pool)
    kept = await rest.pool.fetchval("SELECT string_agg(r::text, '') FROM password_resets r")
    assert token not in kept
    assert token not in str(await rest.pool.fetch("SELECT data FROM events"))
    for bad in ((uid, "nonsense"), ("999", token), ("x", token)):
        answer = await confirm(rest, *bad)
        assert (answer.status, list(answer.body)) == (400, ["error"])
    assert list((await confirm(rest, uid, token, "short")).body) == ["new_password"]
    answers = await asyncio.gather(*(confirm(rest, uid, token, f"{OTHER} {number}") for number in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 400, 400], "a refused password does not use it up"
    assert (await here.get(ME)).status == 401
    assert (await rest.nobody.post(REFRESH, {"refresh": pair["refresh"]})).status == 401
    assert (await sign_in(rest, "ann")).status == 400
    assert [kind for kind, _ in await actions(rest)].count("password_reset") == 1
    assert [user for kind, user in await actions(rest) if kind == "password_reset_requested"] == [None, ann.id]


async def test_a_mailed_token_is_over_after_an_hour_and_with_any_new_password(rest: Rest, ann: Caller) -> None:
    await rest.nobody.post(ASK, {"email": "ann@example.com"})
    first = await mailed(rest.pool)
    left = await rest.pool.fetchval("SELECT extract(epoch FROM expires_at - created_at) FROM password_resets")
    assert 3599 < left < 3601
    await rest.pool.execute("UPDATE password_resets SET expires_at = now()")
    assert (await confirm(rest, *first)).status == 400
    await rest.nobody.post(ASK, {"email": "ann@example.com"})
    second = await mailed(rest.pool)
    await rest.nobody.post(ASK, {"email": "ann@example.com"})
    third = await mailed(rest.pool)
    assert (await confirm(rest, *second)).status == 200
    assert (await confirm(rest, *third)).status == 400
    here, _ = await signed_in(rest, "ann", OTHER)
    await rest.nobody.post(ASK, {"email": "ann@example.com"})
    fourth = await mailed(rest.pool)
    assert (await here.post(CHANGE, {"old_password": OTHER, "new_password": PASSWORD})).status == 200
    assert (await confirm(rest, *fourth)).status == 400
    await rest.nobody.post(ASK, {"email": "ann@example.com"})


async def test_everybody_with_an_address_gets_their_own_mail(rest: Rest, ann: Caller) -> None:
    bob = await person(rest, "bob")
    gone = await person(rest, "gone", is_active=False)
    await rest.pool.execute("UPDATE crm_users SET email = 'shared@example.com'")
    await rest.nobody.post(ASK, {"email": "shared@example.com"})
    bodies = [row["body"] for row in await rest.pool.fetch("SELECT body FROM mails")]
    uids = {int(found[1]) for body in bodies if (found := re.search(r"#reset/(\d+)/", body))}
    assert uids == {ann.id, bob.id}
    assert gone.id not in uids


async def test_asking_is_limited_and_a_reset_lifts_the_lock(database: str) -> None:
    async with serve(database, address_tries=12) as rest:
        await person(rest, "ann")
        assert [(await sign_in(rest, "ann", "a wrong one")).status for _ in range(6)] == [400] * 5 + [429]
        statuses = [(await rest.nobody.post(ASK, {"email": "ann@example.com"})).status for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        assert (await confirm(rest, *await mailed(rest.pool))).status == 200
        assert (await sign_in(rest, "ann", OTHER)).status == 200
        statuses = [(await rest.nobody.post(ASK, {"email": f"{n}@example.com"})).status for n in range(8)]
        assert statuses == [200] * 7 + [429]
        assert (await rest.nobody.post(ASK, {"email": "no address"})).status == 400


async def test_a_link_can_lead_to_a_page_of_a_clients_own(database: str) -> None:
    async with serve(database, reset_url="https://crm.example.com/reset?u={uid}&t={token}") as rest:
        ann = await person(rest, "ann")
        await rest.nobody.post(ASK, {"email": "ann@example.com"})
        body = await rest.pool.fetchval("SELECT body FROM mails")
        assert f"https://crm.example.com/reset?u={ann.id}&t=" in body
