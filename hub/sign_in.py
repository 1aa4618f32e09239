"""Signing in, by a password and perhaps a second step; the next pair of tokens; signing out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from hub import second_factor, throttle, tokens
from hub.accounts import account
from hub.addresses import address
from hub.errors import Declined, TokenNotValid
from hub.keys import SECRET, SETTINGS
from hub.requests import authenticate, bearer, context, read_object
from hub.responses import respond
from hub.second_factor import Used
from hub.texts import texts
from models import passwords, sign_ins
from models.access import Role
from models.account_actions import AccountActionKind, note
from models.database import execute, transaction
from models.resources.mistakes import NON_FIELD, Invalid
from models.resources.resource import MISSING
from models.sign_ins import Because, Issued
from models.users import User

#: Says the same whether the name or the password is wrong.
REFUSED = "Unable to sign in with these credentials."

#: Minutes for the second step, and codes that may be tried in it.
SECOND_STEP, TRIES = 5, 5

NEXT_STEP = "Two-factor authentication required."

#: An address that several have is nobody's name.
BY_ADDRESS = "SELECT id FROM crm_users WHERE lower(email) = lower($1) AND is_active LIMIT 2"


class WrongCredentials(Exception):
    """The name or the password is wrong, or the account is not active."""


async def login(request: web.Request) -> web.Response:
    """Tokens and the user, or what is needed for the second step, for a username or an e-mail and a password."""
    body = await read_object(request)
    name = "email" if "email" in body and "username" not in body else "username"
    given = texts(body, name, "password")
    try:
        user, answer = await enter(request, given[name], given["password"])
    except WrongCredentials:
        raise Invalid({NON_FIELD: [REFUSED]}) from None
    return untold(answer if "temp_token" in answer else {**answer, "user": await account(user.id)})


async def enter(request: web.Request, name: str, password: str) -> tuple[User, dict[str, Any]]:
    """The user behind a name and a password, and a pair of tokens for them, or the token for their second step.

    Raises WrongCredentials, TooMany, and Declined for who may not sign in like this.
    """
    limits = (throttle.of_account(request, "login", name), throttle.of_address(request, "login"))
    await throttle.take(request, *limits)
    user = await _find(name)
    right = await passwords.verify(user.password if user else None, password)
    if user is None or not right or not user.is_active:
        await _failed(request, user)
        raise WrongCredentials
    await throttle.clear(request, limits[0])
    await throttle.right(request, limits[1])
    async with transaction(context(request, actor=user.id)):
        # Read again: a password or a right taken away while the hash was checked counts.
        user = await User.get_or_none(id=user.id, password=user.password, is_active=True)
        if user is None:
            raise WrongCredentials
        return user, await _begin(request, user)


async def second_step(request: web.Request) -> web.Response:
    """Tokens and the user for the token of the first step and a code."""
    given = texts(await read_object(request), "temp_token", "token")
    claims, sign_in = _claims(request, given["temp_token"], tokens.Kind.SECOND_STEP)
    limits = (throttle.of_account(request, "second", claims.user_id), throttle.of_address(request, "login"))
    await throttle.take(request, *limits)
    who = context(request, actor=claims.user_id)
    pair: dict[str, str] | None = None
    async with transaction(who):
        good = await sign_ins.take_try(sign_in, claims.user_id, TRIES)
        user = await User.select_for_update().get_or_none(id=claims.user_id) if good else None
        if user is not None:
            used = await second_factor.use(request, user, given["token"])
            if used is None:
                await note(who, AccountActionKind.TWO_FACTOR_FAILED, user.id, user.username)
            else:
                if used is Used.RECOVERY_CODE:
                    await note(who, AccountActionKind.RECOVERY_CODE_USED, user.id, user.username)
                pair = await _complete(request, user, sign_in)
    if user is None:
        raise TokenNotValid("Sign in with the password again.")
    if pair is None:
        raise Declined(second_factor.WRONG)
    await throttle.clear(request, limits[0])
    await throttle.right(request, limits[1])
    return untold({**pair, "user": await account(claims.user_id)})


async def refresh(request: web.Request) -> web.Response:
    """The next pair of tokens for a refresh token, which is worth nothing afterwards."""
    given = texts(await read_object(request), "refresh")
    claims, sign_in = _claims(request, given["refresh"], tokens.Kind.REFRESH)
    settings = request.app[SETTINGS]
    life, grace = timedelta(minutes=settings.refresh_minutes), timedelta(seconds=settings.refresh_grace)
    who = context(request, actor=claims.user_id)
    async with transaction(who):
        issued, reused = await sign_ins.exchange(sign_in, claims.user_id, claims.jti, life, grace)
        if reused:
            user = await User.get(id=claims.user_id)
            await note(who, AccountActionKind.TOKEN_REUSED, user.id, user.username)
    if issued is None:
        raise TokenNotValid("Token was used before or is no longer good.")
    return untold(pair_of(request, claims.user_id, sign_in, issued))


async def logout(request: web.Request) -> web.Response:
    """End the sign-in of a refresh token, or without one that of the access token; its access tokens end with it."""
    given = texts(await read_object(request) if request.can_read_body else {}, also=("refresh",))
    if given["refresh"]:
        claims, _ = _claims(request, given["refresh"], tokens.Kind.REFRESH)
    elif (token := bearer(request)) is not None:
        _, claims = await authenticate(request.app, token)
    else:
        raise Invalid({"refresh": [MISSING]})
    if claims.sign_in is not None:
        who = context(request, actor=claims.user_id)
        async with transaction(who):
            if await sign_ins.end_one(claims.sign_in, claims.user_id, Because.LOGOUT):
                user = await User.get(id=claims.user_id)
                await note(who, AccountActionKind.LOGOUT, user.id, user.username)
    return respond({"status": "success"})


def pair_of(request: web.Request, user_id: int, sign_in: UUID, issued: Issued) -> dict[str, str]:
    """A new access token, and the refresh token that was issued: the same text however often it is asked for."""
    access = tokens.claim(tokens.Kind.ACCESS, user_id, request.app[SETTINGS].access_minutes, sign_in=sign_in)
    later = tokens.Claims(
        kind=tokens.Kind.REFRESH,
        user_id=user_id,
        issued=int(issued.at.timestamp()),
        expires=int(issued.expires_at.timestamp()),
        jti=issued.id,
        sign_in=sign_in,
    )
    secret = request.app[SECRET]
    return {"access": tokens.sign(secret, access), "refresh": tokens.sign(secret, later)}


async def begin(request: web.Request, user: User) -> dict[str, str]:
    """Sign a user in at once, in the transaction that is open; the pair of tokens."""
    return await _complete(request, user, await _new(request, user))


def untold(body: dict[str, Any], *, status: int = 200) -> web.Response:
    """An answer with secrets, which nobody on the way may keep."""
    return respond(body, status=status, headers={"Cache-Control": "no-store"})


async def _begin(request: web.Request, user: User) -> dict[str, Any]:
    if not user.two_factor_enabled:
        if user.role is Role.ADMIN and request.app[SETTINGS].require_admin_2fa:
            raise Declined("Administrators sign in with a second factor only.", 403)
        return await begin(request, user)
    sign_in = await _new(request, user)
    step = tokens.claim(tokens.Kind.SECOND_STEP, user.id, SECOND_STEP, sign_in=sign_in)
    return {"message": NEXT_STEP, "temp_token": tokens.sign(request.app[SECRET], step), "user_id": user.id}


async def _new(request: web.Request, user: User) -> UUID:
    who = context(request)
    return await sign_ins.begin(user.id, who.ip, who.user_agent, timedelta(minutes=SECOND_STEP))


async def _complete(request: web.Request, user: User, sign_in: UUID) -> dict[str, str]:
    """Give a sign-in its first tokens."""
    issued = await sign_ins.issue(sign_in, timedelta(minutes=request.app[SETTINGS].refresh_minutes))
    await User.filter(id=user.id).update(last_login=datetime.now(UTC), last_login_ip=address(request))
    await note(context(request), AccountActionKind.LOGIN, user.id, user.username)
    return pair_of(request, user.id, sign_in, issued)


async def _find(name: str) -> User | None:
    """Whose username this is, or who alone has it as e-mail."""
    user = await User.get_or_none(username=name)
    if user is None and "@" in name:
        rows = await execute(BY_ADDRESS, [name])
        user = await User.get_or_none(id=rows[0]["id"]) if len(rows) == 1 else None
    return user


async def _failed(request: web.Request, user: User | None) -> None:
    """Note a sign-in that failed. What was typed for a name is not kept: it may be a password."""
    who = context(request)
    async with transaction(who):
        await note(who, AccountActionKind.LOGIN_FAILED, user.id if user else None, user.username if user else "")


def _claims(request: web.Request, token: str, kind: tokens.Kind) -> tuple[tokens.Claims, UUID]:
    """What a token given in a sign-in says, and the sign-in. Raises TokenNotValid."""
    try:
        claims = tokens.read(request.app[SECRET], token, kind)
    except tokens.TokenError as error:
        raise TokenNotValid(str(error)) from None
    if claims.sign_in is None:
        raise TokenNotValid("Token belongs to no sign-in.")
    return claims, claims.sign_in
