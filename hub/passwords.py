"""Passwords: changed by whoever knows the old one, set anew by whoever gets the account's mail."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from hub import throttle
from hub.accounts import good_password
from hub.errors import Declined
from hub.keys import SETTINGS
from hub.requests import CLAIMS, VIEWER, context, read_object
from hub.responses import respond
from hub.texts import texts
from models import mails, password_resets, passwords, sign_ins
from models.account_actions import AccountActionKind, note
from models.database import Context, transaction
from models.mails import Letter
from models.resources.kinds import SERIAL, Email
from models.resources.mistakes import Invalid, Mistake
from models.sign_ins import Because
from models.users import User
from settings import Settings

#: Seconds for which a mailed token is good.
GOOD_FOR = 3600

#: Seconds after which everybody who asks for a mail is answered, so that the time tells nothing either.
ANSWERED_AFTER = 0.1

#: The same whether anybody has the address or not.
ASKED = "If an account has this address, a mail is on its way to it."

SUBJECT = "Set a new password"
LETTER = """Hello {username},

somebody, we hope you, asked for a new password for your account at
Switchboard. To set one, open this within the hour:

    {link}

If it was not you, there is nothing to do: your password stays as it is.
"""


async def change(request: web.Request) -> web.Response:
    """Set a new password for the caller, who gives the old one; other sign-ins end."""
    given = texts(await read_object(request), "old_password", "new_password", also=("new_password_confirm",))
    if given["new_password_confirm"] not in ("", given["new_password"]):
        raise Invalid({"new_password_confirm": ["The two passwords are not the same."]})
    return await changed(request, given["old_password"], given["new_password"])


async def changed(request: web.Request, old: str, new: str) -> web.Response:
    """The answer to a change of the caller's password. Raises Declined, Invalid, TooMany."""
    limit = throttle.of_account(request, "password", request[VIEWER].id)
    await throttle.take(request, limit)
    user = await User.get(id=request[VIEWER].id)
    if not await passwords.verify(user.password, old):
        raise Declined("Old password is incorrect.")
    await throttle.right(request, limit)
    if new == old:
        raise Invalid({"new_password": ["This is the old password."]})
    hashed = await passwords.hash(good_password("new_password", new, _about(user)))
    who = context(request)
    async with transaction(who):
        if not await User.filter(id=user.id, password=user.password).update(password=hashed):
            raise Declined("Old password is incorrect.")
        await _set(who, user, AccountActionKind.PASSWORD_CHANGED, but=request[CLAIMS])
    return respond({"message": "Password changed. You are signed out everywhere else."})


async def ask_reset(request: web.Request) -> web.Response:
    """Have a mail sent to whoever has this address, with a link that sets a new password once."""
    begun = asyncio.get_running_loop().time()
    given = texts(await read_object(request), "email")
    try:
        email = Email().read(given["email"])
    except Mistake as mistake:
        raise Invalid({"email": [str(mistake)]}) from None
    await throttle.take(request, throttle.of_account(request, "reset", email), throttle.of_address(request, "reset"))
    token, who = secrets.token_urlsafe(32), context(request)
    async with transaction(who):
        users = await User.filter(id__in=await password_resets.allow(email, token, GOOD_FOR) or [0])
        await mails.post([_letter(request.app[SETTINGS], user, token) for user in users], seconds=GOOD_FOR)
        await note(who, AccountActionKind.PASSWORD_RESET_REQUESTED, users[0].id if users else None, "")
    await asyncio.sleep(begun + ANSWERED_AFTER - asyncio.get_running_loop().time())
    return respond({"message": ASKED})


async def confirm_reset(request: web.Request) -> web.Response:
    """Set a new password by a mailed token, which is used up; all sign-ins end. A second factor stays in force."""
    given = texts(await read_object(request), "uid", "token", "new_password")
    try:
        key = SERIAL.read_text(given["uid"])
    except Mistake:
        key = 0
    who = context(request, actor=key or None)
    async with transaction(who):
        user = await User.get_or_none(id=key)
        if user is None or not await password_resets.use(key, given["token"]):
            raise Declined("The link is not valid, has been used or has expired.")
        hashed = await passwords.hash(good_password("new_password", given["new_password"], _about(user)))
        await User.filter(id=key).update(password=hashed)
        await _set(who, user, AccountActionKind.PASSWORD_RESET)
    # Whoever has the mail is no guesser.
    await throttle.clear(
        request, *(throttle.of_account(request, "login", name) for name in (user.username, user.email))
    )
    return respond({"message": "The new password is set. Sign in with it."})


async def _set(who: Context, user: User, kind: AccountActionKind, *, but: Any = None) -> None:
    """What goes with a new password, in the transaction that sets it."""
    await sign_ins.end(user.id, Because.PASSWORD, but=but.sign_in if but else None)
    await password_resets.PasswordReset.filter(user_id=user.id).delete()
    await note(who, kind, user.id, user.username)


def _letter(settings: Settings, user: User, token: str) -> Letter:
    # In the fragment, so that no server on the way and no log has it.
    page = settings.reset_url or f"{settings.url}/#reset/{{uid}}/{{token}}"
    link = page.replace("{uid}", str(user.id)).replace("{token}", quote(token))
    return Letter(recipient=user.email, subject=SUBJECT, body=LETTER.format(username=user.username, link=link))


def _about(user: User) -> Mapping[str, Any]:
    return {name: getattr(user, name) for name in ("username", "email", "first_name", "last_name")}
