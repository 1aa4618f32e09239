"""Signing in: a password for a pair of tokens, a refresh token for the next pair, and who one is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from hub import tokens
from hub.errors import TokenNotValid
from hub.keys import SECRET, SETTINGS
from hub.openapi.operation import Operation, documented
from hub.openapi.shapes import FLAG, OBJECT, TEXT, Named, fields, nullable
from hub.requests import VIEWER, address, context, only, read_object
from hub.responses import respond
from models import passwords
from models.database import transaction
from models.resources.kinds import SERIAL, Moment, Schema, Text
from models.resources.mistakes import NON_FIELD, Invalid, Mistake
from models.resources.resource import MISSING, NOT_BLANK
from models.users import RefreshToken, User, UserProfile

#: Says the same whether the name or the password is wrong.
REFUSED = "Unable to sign in with these credentials."

#: Hashing a password as long as a body may be would keep everybody else waiting.
LONGEST_PASSWORD = 1024


ACCOUNT = Named(
    "OwnAccount",
    fields(
        id=SERIAL,
        username=TEXT,
        email=TEXT,
        first_name=TEXT,
        last_name=TEXT,
        full_name=TEXT,
        role=TEXT,
        is_active=FLAG,
        profile=nullable(OBJECT),
        last_login=nullable(Moment()),
        date_joined=Moment(),
    ),
)
SECRET_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_PASSWORD}
CREDENTIALS = fields(username=SECRET_TEXT, password=SECRET_TEXT)


@documented(Operation(body=CREDENTIALS, answers={200: fields(access=TEXT, refresh=TEXT, user=ACCOUNT)}))
async def login(request: web.Request) -> web.Response:
    """Tokens and the user for a username and a password."""
    given = _texts(await read_object(request), "username", "password")
    user = await User.get_or_none(username=given["username"])
    right = await passwords.verify(user.password if user else None, given["password"])
    if user is None or not right or not user.is_active:
        raise Invalid({NON_FIELD: [REFUSED]})
    async with transaction(context(request, actor=user.id)):
        # Read again: a password or a right taken away while the hash was checked counts.
        user = await User.get_or_none(id=user.id, password=user.password, is_active=True)
        if user is None:
            raise Invalid({NON_FIELD: [REFUSED]})
        pair = await _pair(request, user.id)
        await User.filter(id=user.id).update(last_login=datetime.now(UTC), last_login_ip=address(request))
        account = await _account(user.id)
    return respond({**pair, "user": account})


@documented(
    Operation(
        body=fields(refresh=SECRET_TEXT), answers={200: fields(access=TEXT, refresh=TEXT)}, refusals=(TokenNotValid,)
    )
)
async def refresh(request: web.Request) -> web.Response:
    """The next pair of tokens for a refresh token, which is worth nothing afterwards."""
    given = _texts(await read_object(request), "refresh")
    try:
        claims = tokens.read(request.app[SECRET], given["refresh"], tokens.Kind.REFRESH)
    except tokens.TokenError as error:
        raise TokenNotValid(str(error)) from None
    async with transaction(context(request, actor=claims.user_id)):
        unused = RefreshToken.filter(jti=claims.jti, used_at=None, user__is_active=True)
        held = await unused.select_for_update(of=("refresh_tokens",)).first()
        if held is None:
            raise TokenNotValid("Token was used before or is no longer good.")
        await RefreshToken.filter(jti=claims.jti).update(used_at=datetime.now(UTC))
        pair = await _pair(request, claims.user_id)
    return respond(pair)


@documented(Operation(answers={200: ACCOUNT}))
async def me(request: web.Request) -> web.Response:
    """The signed-in user."""
    return respond(await _account(request[VIEWER].id))


async def _pair(request: web.Request, user_id: int) -> dict[str, str]:
    """A new access and refresh token; the latter is noted, so that it can be used once."""
    settings, secret = request.app[SETTINGS], request.app[SECRET]
    access = tokens.claim(tokens.Kind.ACCESS, user_id, settings.access_minutes)
    later = tokens.claim(tokens.Kind.REFRESH, user_id, settings.refresh_minutes)
    expires = datetime.fromtimestamp(later.expires, UTC)
    await RefreshToken.create(jti=later.jti, user_id=user_id, expires_at=expires)
    return {"access": tokens.sign(secret, access), "refresh": tokens.sign(secret, later)}


async def _account(user_id: int) -> dict[str, Any]:
    """A user as they see themselves."""
    user = await User.get(id=user_id)
    profile = await UserProfile.get_or_none(user_id=user_id)
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "full_name": user.full_name,
        "role": user.role,
        "is_active": user.is_active,
        "profile": profile
        and {
            "bio": profile.bio,
            "timezone": profile.timezone,
            "language": profile.language,
            "notification_preferences": profile.notification_preferences,
            "dashboard_preferences": profile.dashboard_preferences,
        },
        "last_login": user.last_login,
        "date_joined": user.date_joined,
    }


def _texts(body: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Required texts as they are, untrimmed. Raises Invalid."""
    only(body, names)
    wrong, given = {}, {}
    for name in names:
        try:
            Text(LONGEST_PASSWORD).read(body.get(name, ""))
        except Mistake as mistake:
            wrong[name] = [str(mistake)]
            continue
        if not body.get(name):
            wrong[name] = [NOT_BLANK if name in body else MISSING]
        given[name] = body.get(name, "")
    if wrong:
        raise Invalid(wrong)
    return given
