"""Signed tokens: who is asking, until when. HS256 with the claims token_type, exp, iat, jti, user_id and mostly sid."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from uuid import UUID, uuid4

import jwt

ALGORITHM = "HS256"


class Kind(StrEnum):
    """What a token is good for: asking, being exchanged for a new pair, or the second step of a sign-in."""

    ACCESS = "access"
    REFRESH = "refresh"
    SECOND_STEP = "second_step"


class TokenError(Exception):
    """A token is not ours, not of this kind, or has expired."""


class TokenExpired(TokenError):
    """A token was good once."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a token says."""

    kind: Kind
    user_id: int
    #: Unix seconds.
    issued: int
    expires: int
    #: Tells tokens apart; a refresh token is good for one use.
    jti: UUID
    #: The sign-in it was given in, with which it ends; None for an operator's.
    sign_in: UUID | None = None


def claim(kind: Kind, user_id: int, minutes: float, *, sign_in: UUID | None = None) -> Claims:
    """Fresh claims, good for so many minutes from now."""
    now = int(time.time())
    expires = now + int(minutes * 60)
    return Claims(kind=kind, user_id=user_id, issued=now, expires=expires, jti=uuid4(), sign_in=sign_in)


def sign(secret: str, claims: Claims) -> str:
    """The token that says `claims`."""
    payload = {
        "token_type": claims.kind.value,
        "exp": claims.expires,
        "iat": claims.issued,
        "jti": claims.jti.hex,
        "user_id": claims.user_id,
    }
    if claims.sign_in is not None:
        payload["sid"] = claims.sign_in.hex
    return jwt.encode(payload, secret, algorithm=ALGORITHM)


def read(secret: str, token: str, kind: Kind) -> Claims:
    """What a token of this kind says. Raises TokenError with a sentence fit for the client."""
    claims = _verified(secret, token)
    if claims.expires <= time.time():
        raise TokenExpired("Token is expired.")
    if claims.kind is not kind:
        raise TokenError("Token has wrong type.")
    return claims


@lru_cache(maxsize=4096)
def _verified(secret: str, token: str) -> Claims:
    """What a token says, whether it has expired or not. Cached: somebody who asks much does so with one token."""
    required = ["token_type", "exp", "iat", "jti", "user_id"]
    try:
        payload = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            options={"require": required, "verify_exp": False, "verify_iat": False, "verify_jti": False},
        )
        return Claims(
            kind=Kind(payload["token_type"]),
            user_id=_serial(payload["user_id"]),
            issued=int(payload["iat"]),
            expires=int(payload["exp"]),
            jti=UUID(payload["jti"]),
            sign_in=UUID(payload["sid"]) if "sid" in payload else None,
        )
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, OverflowError):
        raise TokenError("Token is invalid.") from None


def _serial(value: object) -> int:
    """An id that a row can have. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not 0 < int(value) < 2**63:
        raise ValueError("not an id")
    return int(value)
