"""The second factor: an authenticator's code of the moment, or a recovery code, beside the password.

It is set up (`setup_2fa`), in force once a code has shown that the authenticator has the secret (`verify_2fa`), and
ends with the password and a code (`disable_2fa`), or when an administrator takes it off somebody who has lost both.
"""

from __future__ import annotations

import base64
import io
from enum import Enum, auto
from time import time as now

import segno
import structlog
from aiohttp import web

from hub import throttle
from hub.errors import Declined, Forbidden, NotFound
from hub.keys import SECRET
from hub.requests import CLAIMS, VIEWER, context, read_object
from hub.responses import respond
from hub.sealed import NotSealed, keyed_hash, seal, unseal
from hub.texts import texts
from models import one_time_codes, passwords, sign_ins
from models.account_actions import AccountActionKind, note
from models.database import execute, transaction
from models.resources.kinds import SERIAL
from models.resources.mistakes import Mistake
from models.sign_ins import Because
from models.users import User

log = structlog.get_logger()

#: A code is good once, whoever asks at the same time.
USE_STEP = "UPDATE crm_users SET two_factor_step = $2 WHERE id = $1 AND two_factor_step < $2 RETURNING true AS used"
USE_RECOVERY = """
UPDATE crm_users SET recovery_codes = recovery_codes - $2::text WHERE id = $1 AND recovery_codes ? $2::text
RETURNING jsonb_array_length(recovery_codes) AS left
"""

WRONG = "Invalid code."
NOT_ENABLED = "Two-factor authentication is not enabled."


class Used(Enum):
    """What a sign-in's second step was done with."""

    CODE = auto()
    RECOVERY_CODE = auto()


async def use(request: web.Request, user: User, code: str) -> Used | None:
    """Use up a code of a user whose second factor is in force; None if it is wrong. In a transaction."""
    code = code.strip()
    if code.isascii() and code.isdigit():
        step = one_time_codes.step_of(_secret(request, user), code, now=now(), after=user.two_factor_step)
        taken = step is not None and await execute(USE_STEP, [user.id, step])
        return Used.CODE if taken else None
    hashed = keyed_hash(request.app[SECRET], f"recovery {user.id}", one_time_codes.plain(code))
    return Used.RECOVERY_CODE if await execute(USE_RECOVERY, [user.id, hashed]) else None


async def setup(request: web.Request) -> web.Response:
    """A new secret, as text and as a QR code; nothing is asked for it until it is verified."""
    texts(await read_object(request) if request.can_read_body else {})
    user = await User.get(id=request[VIEWER].id)
    secret = one_time_codes.new_secret()
    sealed = seal(request.app[SECRET], f"second factor {user.id}", base64.b32decode(secret))
    async with transaction(context(request)):
        if not await User.filter(id=user.id, two_factor_enabled=False).update(two_factor_secret=sealed):
            raise Declined("Two-factor authentication is enabled already. Disable it first.")
    address = one_time_codes.address(secret, user.username)
    return _untold({"secret": secret, "qr_code": _picture(address), "otpauth_url": address})


async def verify(request: web.Request) -> web.Response:
    """Put the second factor in force, by a code; recovery codes are shown this once. Other sign-ins end."""
    code = texts(await read_object(request), "token")["token"].strip()
    user = await User.get(id=request[VIEWER].id)
    if user.two_factor_enabled or not user.two_factor_secret:
        raise Declined("Two-factor authentication is not being set up.")
    limit = throttle.of_account(request, "second", user.id)
    await throttle.take(request, limit)
    step = one_time_codes.step_of(_secret(request, user), code, now=now(), after=0)
    if step is None:
        raise Declined(WRONG)
    codes = one_time_codes.recovery_codes()
    hashed = [
        keyed_hash(request.app[SECRET], f"recovery {user.id}", one_time_codes.plain(recovery)) for recovery in codes
    ]
    who = context(request)
    async with transaction(who):
        pending = User.filter(id=user.id, two_factor_enabled=False, two_factor_secret=user.two_factor_secret)
        if not await pending.update(two_factor_enabled=True, two_factor_step=step, recovery_codes=hashed):
            raise Declined("Two-factor authentication is not being set up.")
        await sign_ins.end(user.id, Because.SECOND_FACTOR, but=request[CLAIMS].sign_in)
        await note(who, AccountActionKind.TWO_FACTOR_ENABLED, user.id, user.username)
    await throttle.right(request, limit)
    return _untold({"message": "Two-factor authentication is enabled.", "recovery_codes": codes})


async def disable(request: web.Request) -> web.Response:
    """End the second factor, by the password and a code. Other sign-ins end."""
    given = texts(await read_object(request), "password", "token")
    user = await User.get(id=request[VIEWER].id)
    if not user.two_factor_enabled:
        raise Declined(NOT_ENABLED)
    limit = throttle.of_account(request, "second", user.id)
    await throttle.take(request, limit)
    right = await passwords.verify(user.password, given["password"])
    who, done = context(request), False
    async with transaction(who):
        user = await User.select_for_update().get(id=user.id)
        if not user.two_factor_enabled:
            raise Declined(NOT_ENABLED)
        if right and await use(request, user, given["token"]):
            await take_off(user.id)
            await sign_ins.end(user.id, Because.SECOND_FACTOR, but=request[CLAIMS].sign_in)
            await note(who, AccountActionKind.TWO_FACTOR_DISABLED, user.id, user.username)
            done = True
        else:
            await note(who, AccountActionKind.TWO_FACTOR_FAILED, user.id, user.username)
    if not done:
        raise Declined("The password or the code is wrong.")
    await throttle.right(request, limit)
    return respond({"message": "Two-factor authentication is disabled."})


async def reset(request: web.Request) -> web.Response:
    """Take the second factor off somebody else, who has lost it; for administrators. Their sign-ins end."""
    viewer = request[VIEWER]
    try:
        key = SERIAL.read_text(request.match_info["id"])
    except Mistake:
        raise NotFound from None
    if viewer.id == key:
        raise Forbidden("Nobody takes their own second factor off without a code; another administrator can.")
    who = context(request)
    async with transaction(who):
        user = await User.select_for_update().get_or_none(id=key)
        if user is None:
            raise NotFound
        await take_off(key)
        await sign_ins.end(key, Because.SECOND_FACTOR)
        await note(who, AccountActionKind.TWO_FACTOR_DISABLED, key, user.username, {"by": viewer.id})
    return respond({"message": f"{user.username} signs in without a second factor."})


async def take_off(user_id: int) -> None:
    """Forget a user's second factor, in the transaction that is open."""
    await User.filter(id=user_id).update(
        two_factor_enabled=False, two_factor_secret="", two_factor_step=0, recovery_codes=[]
    )


def _secret(request: web.Request, user: User) -> str:
    try:
        raw = unseal(request.app[SECRET], f"second factor {user.id}", user.two_factor_secret)
    except NotSealed:
        log.error("second_factor_unreadable", user=user.id, because="HUB_SECRET is not the one it was set up with")
        raise Declined(WRONG) from None
    return base64.b32encode(raw).decode()


def _picture(address: str) -> str:
    picture = io.BytesIO()
    segno.make(address, error="m").save(picture, kind="png", scale=5)
    return f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"


def _untold(body: dict[str, object]) -> web.Response:
    return respond(body, headers={"Cache-Control": "no-store"})
