"""The second set of sign-in endpoints, and registering."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.access import Role
from tests.hub.accounts import ME, OTHER, PASSWORD, actions, person, with_second_factor
from tests.hub.rest import Rest, serve

CORE = "/api/core/auth/"
NEW = {"email": "ida@example.com", "password": OTHER, "first_name": "Ida", "last_name": "Holt"}


async def test_signing_in_refreshing_and_out(rest: Rest) -> None:
    ann = await person(rest, "ann", Role.MANAGER, first_name="Ann")
    answer = await rest.nobody.post(f"{CORE}login/", {"email": "ann@example.com", "password": PASSWORD})
    assert answer.status == 200
    assert answer.body["user"] == {
        "id": ann.id,
        "email": "ann@example.com",
        "first_name": "Ann",
        "last_name": "",
        "username": "ann",
        "is_staff": True,
    }
    assert "view_team" in answer.body["permissions"]
    pair = answer.body["tokens"]
    here = replace(ann, token=pair["access"])
    me = (await here.get(f"{CORE}me/")).body
    assert (me["roles"], me["permissions"]) == (["manager"], answer.body["permissions"])
    new = (await rest.nobody.post(f"{CORE}token/refresh/", {"refresh": pair["refresh"]})).body
    assert set(new) == {"access", "refresh"}
    out = await rest.nobody.post(f"{CORE}logout/", {"refresh": new["refresh"]})
    assert (out.status, out.body) == (200, {"status": "success"})
    assert (await here.get(ME)).status == 401
    wrong = await rest.nobody.post(f"{CORE}login/", {"email": "ann@example.com", "password": "wrong"})
    assert (wrong.status, list(wrong.body)) == (401, ["error"])


@pytest.mark.usefixtures("still")
async def test_a_second_factor_holds_here_too(rest: Rest) -> None:
    await person(rest, "ann")
    await with_second_factor(rest, "ann")
    answer = await rest.nobody.post(f"{CORE}login/", {"email": "ann@example.com", "password": PASSWORD})
    assert (answer.status, set(answer.body)) == (200, {"message", "temp_token", "user_id"})


async def test_registration_is_off_unless_it_is_on(rest: Rest) -> None:
    for path in (f"{CORE}register/", "/api/auth/register/"):
        answer = await rest.nobody.post(path, NEW)
        assert (answer.status, list(answer.body)) == (403, ["detail"])
    assert await rest.pool.fetchval("SELECT count(*) FROM crm_users") == 0


async def test_registering(database: str) -> None:
    async with serve(database, registration="viewer", address_tries=8) as rest:
        answer = await rest.nobody.post(f"{CORE}register/", NEW)
        assert (answer.status, set(answer.body), set(answer.body["tokens"])) == (
            201,
            {"user", "tokens"},
            {"access", "refresh"},
        )
        assert set(answer.body["user"]) == {"id", "email", "first_name", "last_name", "username"}
        assert answer.body["user"]["username"] == "ida@example.com"
        here = replace(rest.nobody, token=answer.body["tokens"]["access"])
        assert (await here.get(ME)).body["role"] == "viewer"
        assert [kind for kind, _ in await actions(rest)] == ["registered", "login"]
        other = {**NEW, "email": "ib@example.com"}
        for changes, field in (
            ({"email": "IDA@example.com"}, "email"),
            ({"email": "IDA@example.com", "username": "ib"}, "email"),
            ({"password": "password1234"}, "password"),
            ({"password_confirm": "x"}, "password_confirm"),
            ({"role": "admin"}, "role"),
            ({"is_staff": True}, "is_staff"),
            ({"username": "no way"}, "username"),
        ):
            answer = await rest.nobody.post(f"{CORE}register/", {**other, **changes})
            assert (answer.status, list(answer.body)) == (400, [field]), answer.body
        answers = [await rest.nobody.post("/api/auth/register/", {**NEW, "email": f"{n}@x.no"}) for n in range(5)]
        assert answers[-1].status == 429
