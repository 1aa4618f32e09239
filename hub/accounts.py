"""Users: administrators make, change and remove them; everybody changes what is their own.

One's own are the name, the phone, the profile and, with the password beside it, the e-mail. Role, username and whether
the account is active are for administrators, of whom there is always one who can sign in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from hub import throttle
from hub.errors import Declined, Forbidden, NotFound
from hub.requests import VIEWER, context, read_object
from hub.responses import respond
from models import passwords, sign_ins
from models.access import LEADERS, Action, Role, Viewer, may
from models.database import execute, transaction
from models.password_rules import LONGEST, mistakes
from models.resources.accounts import ACCOUNTS, read_profile
from models.resources.kinds import SERIAL, Text
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import MISSING
from models.resources.selection import Row
from models.sign_ins import Because
from models.users import User, UserProfile

#: What a user may change of themselves, beside the profile.
OWN = frozenset({"first_name", "last_name", "phone", "department", "email"})

#: Keys of a body that are no fields of a user.
PASSWORD, CONFIRM, CURRENT, PROFILE = "password", "password_confirm", "current_password", "profile"

#: Whoever takes an administrator away waits for whoever else is at it.
ADMINS = "SELECT id FROM crm_users WHERE role = 'admin' AND is_active ORDER BY id FOR UPDATE"
#: Names and addresses are looked at and taken by one transaction at a time.
NAMING = "SELECT pg_advisory_xact_lock(hashtext('names of users'))"
TAKEN = "SELECT username = $1 AS name FROM crm_users WHERE id <> $3 AND (username = $1 OR lower(email) = lower($2))"


async def account(user_id: int) -> dict[str, Any]:
    """A user as they see themselves."""
    row = await ACCOUNTS.detailed.one(user_id)
    if row is None:
        raise NotFound
    return ACCOUNTS.show(row, Viewer(id=user_id, role=row["role"]), listed=False)


async def me(request: web.Request) -> web.Response:
    """The signed-in user."""
    return respond(await account(request[VIEWER].id))


async def change_me(request: web.Request) -> web.Response:
    """Change the signed-in user."""
    return respond(await changed(request, request[VIEWER].id, await read_object(request), partial=True))


async def create(request: web.Request) -> web.Response:
    """A new user with a password; for administrators."""
    body = await read_object(request)
    fields = {name: value for name, value in body.items() if name not in (PASSWORD, CONFIRM, PROFILE)}
    values = ACCOUNTS.read(fields, partial=False)
    ACCOUNTS.unchanged(fields, {})
    profile = read_profile(body[PROFILE]) if PROFILE in body else None
    password = new_password(body.get(PASSWORD), values)
    if CONFIRM in body and body[CONFIRM] != password:
        raise Invalid({CONFIRM: ["The two passwords are not the same."]})
    hashed = await passwords.hash(password)
    async with transaction(context(request)):
        user = await make(values, hashed)
        if profile is not None:
            await UserProfile.create(user_id=user.id, **profile)
    return respond(await account(user.id), status=201)


async def put(request: web.Request) -> web.Response:
    """Change a user; every required field must be there."""
    return respond(await changed(request, _id(request), await read_object(request), partial=False))


async def patch(request: web.Request) -> web.Response:
    """Change the fields of a user that are named."""
    return respond(await changed(request, _id(request), await read_object(request), partial=True))


async def delete(request: web.Request) -> web.Response:
    """Remove a user and the tasks assigned to them; what else was theirs stays, without them. For administrators."""
    key, viewer = _id(request), request[VIEWER]
    async with transaction(context(request)):
        row = await _readable(key, viewer)
        if not may(viewer, Action.DELETE, "user", row):
            raise Forbidden
        await _keep_an_admin(row, stays=False)
        await User.filter(id=key).delete()
    return web.Response(status=204)


async def changed(request: web.Request, key: int, body: Mapping[str, Any], *, partial: bool) -> dict[str, Any]:
    """A user after a change by the caller. Raises NotFound, Forbidden, Invalid, Declined."""
    viewer = request[VIEWER]
    await _readable(key, viewer)
    if not may(viewer, Action.UPDATE, "user", {"id": key}) and viewer.id != key:
        raise Forbidden
    fields = {name: value for name, value in body.items() if name not in (CURRENT, PROFILE)}
    profile = read_profile(body[PROFILE]) if body.get(PROFILE) is not None else {}
    confirmed = await _confirmed(request, body.get(CURRENT))
    async with transaction(context(request)):
        await User.select_for_update().get_or_none(id=key)
        row = await _readable(key, viewer)
        ACCOUNTS.unchanged(fields, ACCOUNTS.show(row, viewer, listed=False))
        columns = {name: value for name, value in ACCOUNTS.read(fields, partial=partial).items() if value != row[name]}
        _allow(viewer, key, columns, confirmed=confirmed)
        if columns:
            await _change(row, columns)
        if profile:
            await UserProfile.update_or_create(defaults=profile, user_id=key)
    return await account(key)


async def make(values: Mapping[str, Any], hashed: str) -> User:
    """A new user, in the transaction that is open. Raises Invalid for a name or an address somebody has."""
    await _untaken(0, values)
    return await User.create(**values, password=hashed)


def new_password(value: object, about: Mapping[str, Any]) -> str:
    """A password good enough for somebody about whom these values are known. Raises Invalid."""
    return good_password(PASSWORD, value, about)


def good_password(name: str, value: object, about: Mapping[str, Any]) -> str:
    """The same, for a field of another name."""
    if value is None:
        raise Invalid({name: [MISSING]})
    try:
        Text().read(value)
    except Mistake as mistake:
        raise Invalid({name: [str(mistake)]}) from None
    password = str(value)
    known = [str(about.get(key) or "") for key in ("username", "email", "first_name", "last_name")]
    known.append(f"{known[2]} {known[3]}")
    if wrong := mistakes(password, known):
        raise Invalid({name: wrong})
    return password


async def _change(row: Row, columns: Mapping[str, Any]) -> None:
    """Write what differs, in the transaction that is open."""
    await _untaken(row["id"], {"username": row["username"], "email": row["email"], **columns})
    role, active = columns.get("role", row["role"]), columns.get("is_active", row["is_active"])
    await _keep_an_admin(row, stays=role == Role.ADMIN and active)
    await User.filter(id=row["id"]).update(**columns)
    if (row["is_active"] and not active) or (row["role"] in LEADERS and role != row["role"]):
        await sign_ins.end(row["id"], Because.RIGHTS)


def _allow(viewer: Viewer, key: int, columns: Mapping[str, Any], *, confirmed: bool) -> None:
    """Raise Forbidden or Declined if the caller may not change these of that user."""
    if viewer.id == key and "email" in columns and not confirmed:
        raise Declined(f"To change your e-mail, give your password as {CURRENT}.")
    if viewer.role is not Role.ADMIN and (beyond := columns.keys() - OWN):
        raise Forbidden(f"Only administrators may change {', '.join(sorted(beyond))}.")


async def _confirmed(request: web.Request, password: object) -> bool:
    """Whether the caller has given their password too. Raises Declined for a wrong one, and TooMany."""
    if password is None:
        return False
    limit = throttle.of_account(request, "password", request[VIEWER].id)
    await throttle.take(request, limit)
    user = await User.get(id=request[VIEWER].id)
    if not isinstance(password, str) or len(password) > LONGEST or not await passwords.verify(user.password, password):
        raise Declined("Current password is incorrect.")
    await throttle.right(request, limit)
    return True


async def _keep_an_admin(row: Row, *, stays: bool) -> None:
    """Raise Declined if nobody who can administer would be left. Holds all who can until the transaction ends."""
    if row["role"] != Role.ADMIN or not row["is_active"] or stays:
        return
    if not {one["id"] for one in await execute(ADMINS, [])} - {row["id"]}:
        raise Declined("This is the last active administrator.")


async def _untaken(key: int, values: Mapping[str, Any]) -> None:
    """Raise Invalid if somebody else has this username or e-mail, or the username is another's address."""
    username, email = values["username"], values["email"]
    if "@" in username and username.lower() != email.lower():
        raise Invalid({"username": ["A username with @ must be the e-mail of the account."]})
    await execute(NAMING, [])
    if taken := await execute(TAKEN, [username, email, key]):
        name = "username" if any(row["name"] for row in taken) else "email"
        raise Invalid({name: [f"A user with this {name} already exists."]})


async def _readable(key: int, viewer: Viewer) -> Row:
    row = await ACCOUNTS.detailed.one(key)
    if row is None or not ACCOUNTS.seen(row, "", viewer):
        raise NotFound
    return row


def _id(request: web.Request) -> int:
    try:
        return SERIAL.read_text(request.match_info["id"])
    except Mistake:
        raise NotFound from None
