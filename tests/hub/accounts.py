"""People who sign in by password and code, as tests of accounts do it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pyotp

from models import passwords
from models.access import Role
from tests.hub.rest import Answer, Caller, Rest

LOGIN, STEP, REFRESH, LOGOUT = "/api/auth/login/", "/api/auth/login/2fa/", "/api/auth/refresh/", "/api/auth/logout/"
USERS, ME = "/api/auth/users/", "/api/auth/users/me/"
SETUP, VERIFY, DISABLE = f"{USERS}setup_2fa/", f"{USERS}verify_2fa/", f"{USERS}disable_2fa/"

PASSWORD = "a horse on the right"
OTHER = "three lamps, one window"


async def person(rest: Rest, username: str, role: Role = Role.SALES_REP, **columns: Any) -> Caller:
    """A user with PASSWORD, not signed in by it yet."""
    return await rest.user(role, username=username, password=await passwords.hash(PASSWORD), **columns)


async def sign_in(rest: Rest, username: str, password: str = PASSWORD) -> Answer:
    """What signing in answers."""
    return await rest.nobody.post(LOGIN, {"username": username, "password": password})


async def signed_in(rest: Rest, username: str, password: str = PASSWORD) -> tuple[Caller, dict[str, Any]]:
    """Somebody signed in by password, and the answer."""
    answer = await sign_in(rest, username, password)
    assert answer.status == 200, answer.body
    return replace(rest.nobody, id=answer.body["user"]["id"], token=answer.body["access"]), answer.body


#: The moment at which all codes are asked for and looked at (the fixture `still`).
MOMENT = int(time.time())


def code(secret: str, *, steps: int = 0) -> str:
    """An authenticator's code of the moment, or so many steps away."""
    return pyotp.TOTP(secret).at(MOMENT + 30 * steps)


async def with_second_factor(rest: Rest, username: str) -> tuple[str, list[str]]:
    """Put a second factor in force for a user with PASSWORD, by the code of the step before; its secret and recovery
    codes.
    """
    caller, _ = await signed_in(rest, username)
    secret = (await caller.post(SETUP, {})).body["secret"]
    answer = await caller.post(VERIFY, {"token": code(secret, steps=-1)})
    assert answer.status == 200, answer.body
    return secret, answer.body["recovery_codes"]


async def actions(rest: Rest) -> list[tuple[str, int | None]]:
    """What was done with accounts, and whose."""
    rows = await rest.pool.fetch("SELECT action, user_id FROM crm_account_actions ORDER BY id")
    return [(row["action"], row["user_id"]) for row in rows]
