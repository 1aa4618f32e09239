"""Who connects: what a connection token, or the access token of somebody who is signed in, says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from hub import tokens
from hub.centrifuge import codes
from hub.centrifuge.claims import ConnectionClaims, KeysUnavailable, SubscriptionOptions, TokenExpired, TokenInvalid
from hub.centrifuge.codes import Ended, Refused
from hub.centrifuge.node import Node
from hub.errors import unavailable
from models.access import Viewer

#: Seconds for which a role looked up before may be used again: clients go on while Postgres is away.
ROLE_WITHIN = 5.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whom a connection is for."""

    #: Empty for nobody known.
    user: str
    #: Unix seconds at which it ends unless it is refreshed; None never.
    expires_at: int | None = None
    #: The sign-in of an access token, with which it ends.
    sign_in: UUID | None = None
    #: Shown to others, JSON.
    info: bytes | None = None
    #: Server-side subscriptions that the token brings.
    subscriptions: Mapping[str, SubscriptionOptions] = field(default_factory=dict)


async def identify(node: Node, token: str) -> Identity:
    """Whom a token is for. Raises Refused or Ended."""
    client = node.configuration.client
    if not token:
        if client.insecure or client.allow_anonymous_connect_without_token:
            return Identity(user="")
        raise Refused(codes.UNAUTHORIZED)
    try:
        claims = await node.verifier.connection(token)
    except TokenExpired:
        raise Refused(codes.TOKEN_EXPIRED) from None
    except KeysUnavailable:
        raise Refused(codes.INTERNAL_ERROR) from None
    except TokenInvalid:
        return await _signed_in(node, token)
    if not claims.user and client.disallow_anonymous_connection_tokens:
        raise Ended(codes.FORBIDDEN)
    return _of(claims)


async def viewer(node: Node, user: str, sign_in: UUID | None = None) -> Viewer | None:
    """The user of the CRM with this id, None if there is none or the sign-in has ended.

    Raises Refused while that cannot be known.
    """
    if not (user.isascii() and user.isdigit() and 0 < int(user) < 2**63):
        return None
    try:
        return await node.viewers.get(int(user), sign_in=sign_in, within=ROLE_WITHIN)
    except Exception as error:
        if not unavailable(error):
            raise
        raise Refused(codes.INTERNAL_ERROR) from error


def _of(claims: ConnectionClaims) -> Identity:
    return Identity(
        user=claims.user, expires_at=claims.expires_at, info=claims.info, subscriptions=claims.subscriptions
    )


async def _signed_in(node: Node, token: str) -> Identity:
    """The user behind an access token of our own."""
    try:
        claims = tokens.read(node.secret, token, tokens.Kind.ACCESS)
    except tokens.TokenExpired:
        raise Refused(codes.TOKEN_EXPIRED) from None
    except tokens.TokenError:
        raise Ended(codes.INVALID_TOKEN) from None
    user = str(claims.user_id)
    if await viewer(node, user, claims.sign_in) is None:
        raise Ended(codes.INVALID_TOKEN)
    return Identity(user=user, expires_at=claims.expires, sign_in=claims.sign_in)
