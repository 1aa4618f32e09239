"""The second set of sign-in endpoints, /api/core/auth/: the same doings under other names and shapes."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from hub import accounts, passwords, sign_in, throttle
from hub.errors import Declined, Forbidden
from hub.keys import SETTINGS
from hub.permissions import granted
from hub.requests import VIEWER, context, read_object
from hub.responses import respond
from hub.sign_in import WrongCredentials, untold
from hub.texts import texts
from models import passwords as hashes
from models.access import LEADERS, Role
from models.account_actions import AccountActionKind, note
from models.database import transaction
from models.resources.accounts import ACCOUNTS
from models.resources.mistakes import Invalid

#: What of a user these endpoints show.
SHOWN = ("id", "email", "first_name", "last_name", "username")


async def register(request: web.Request) -> web.Response:
    """A new user who makes themselves, where an operator has said with which role; signed in at once."""
    role = request.app[SETTINGS].registration
    if not role:
        raise Forbidden("Registration is off. Ask an administrator for an account.")
    body = await read_object(request)
    given = texts(body, "email", "password", "first_name", "last_name", also=("username", "password_confirm"))
    if given["password_confirm"] not in ("", given["password"]):
        raise Invalid({"password_confirm": ["The two passwords are not the same."]})
    await throttle.take(request, throttle.of_address(request, "register"))
    named = {name: given[name] for name in ("email", "first_name", "last_name")}
    values = ACCOUNTS.read({**named, "username": given["username"] or given["email"]}, partial=False)
    hashed = await hashes.hash(accounts.new_password(given["password"], values))
    async with transaction(context(request)):
        user = await accounts.make({**values, "role": Role(role)}, hashed)
        await note(context(request), AccountActionKind.REGISTERED, user.id, user.username)
        pair = await sign_in.begin(request, user)
    return untold({"user": {name: getattr(user, name) for name in SHOWN}, "tokens": pair}, status=201)


async def login(request: web.Request) -> web.Response:
    """Tokens and the user, or what is needed for the second step, for an e-mail and a password."""
    given = texts(await read_object(request), "email", "password")
    try:
        user, answer = await sign_in.enter(request, given["email"], given["password"])
    except WrongCredentials:
        raise Declined("Invalid credentials.", 401) from None
    if "temp_token" in answer:
        return untold(answer)
    shown = {**{name: getattr(user, name) for name in SHOWN}, "is_staff": user.role in LEADERS}
    return untold({"user": shown, "permissions": granted(user.role), "tokens": answer})


async def me(request: web.Request) -> web.Response:
    """The signed-in user, their roles and permissions."""
    return respond(_with_rights(await accounts.account(request[VIEWER].id)))


async def change_me(request: web.Request) -> web.Response:
    """Change the signed-in user."""
    body = await read_object(request)
    return respond(_with_rights(await accounts.changed(request, request[VIEWER].id, body, partial=True)))


async def change_password(request: web.Request) -> web.Response:
    """Set a new password for the caller, who gives the old one."""
    given = texts(await read_object(request), "current_password", "new_password")
    return await passwords.changed(request, given["current_password"], given["new_password"])


def _with_rights(user: dict[str, Any]) -> dict[str, Any]:
    role = Role(user["role"])
    return {**user, "is_staff": role in LEADERS, "roles": [role], "permissions": granted(role)}
