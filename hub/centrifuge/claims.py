"""What connection and subscription tokens say, read from a payload whose signature was looked at already.

TokenError
  TokenExpired      past its end, or not yet good: the client is told 109 and asks its backend for another
  TokenInvalid      close 3500 for a connection, error 103 for a subscription
  KeysUnavailable   the keys cannot be had for the moment: error 100, temporary
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from hub.configuration import Token

#: Times in tokens lie below this, in Unix seconds: what clients can hold.
LAST = 2**53


class TokenError(Exception):
    """A token does not let its bearer in."""


class TokenExpired(TokenError):
    """The token has expired, or is not good yet."""


class TokenInvalid(TokenError):
    """The token is none, is not signed by whom it should be, or says what it may not."""


class KeysUnavailable(TokenError):
    """The keys that could tell whether the token is good cannot be had for the moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """Channel options that a token sets for one subscription; None leaves an option as it is configured."""

    presence: bool | None = None
    join_leave: bool | None = None
    force_push_join_leave: bool | None = None
    force_positioning: bool | None = None
    force_recovery: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionOptions:
    """What a token says about a subscription. Bytes are JSON, or whatever was given in Base64."""

    #: Shown to others as the channel's information about the client.
    info: bytes | None = None
    #: Sent to the client when it is subscribed.
    data: bytes | None = None
    override: Override = Override()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionClaims:
    """What a connection token says."""

    #: Empty for nobody.
    user: str
    #: Unix seconds at which the connection ends unless it is refreshed; None never.
    expires_at: int | None
    #: Shown to others as the information about the client.
    info: bytes | None = None
    #: JSON for ourselves.
    meta: bytes | None = None
    channels: tuple[str, ...] = ()
    subs: Mapping[str, SubscriptionOptions] = field(default_factory=dict)

    @property
    def subscriptions(self) -> Mapping[str, SubscriptionOptions]:
        """The server-side subscriptions: `subs`, or without them `channels`."""
        return self.subs or {channel: SubscriptionOptions() for channel in self.channels}


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionClaims:
    """What a subscription token says. If user, channel or client are not the connection's, it is closed with 3500."""

    user: str
    channel: str
    #: The id of the only connection it is good for; empty for any.
    client: str = ""
    #: Unix seconds at which the subscription ends unless it is refreshed; None never.
    expires_at: int | None
    options: SubscriptionOptions = SubscriptionOptions()


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the claims must be, beside being signed."""

    audience: re.Pattern[str] | None = None
    issuer: re.Pattern[str] | None = None
    user_claim: str = "sub"

    @staticmethod
    def of(token: Token) -> Expected:
        """As it is configured."""
        return Expected(
            audience=_pattern(token.audience, token.audience_regex),
            issuer=_pattern(token.issuer, token.issuer_regex),
            user_claim=token.user_id_claim or "sub",
        )


def connection(payload: bytes, expected: Expected, now: float) -> ConnectionClaims:
    """The claims of a connection token. Raises TokenExpired or TokenInvalid."""
    claims = _object(payload)
    _check_origin(claims, expected)
    if _text(claims, "channel"):
        raise TokenInvalid("A connection token has no claim channel.")
    expires_at = _expiry(claims, now)
    subs = _get(claims, "subs", dict) or {}
    return ConnectionClaims(
        user=_user(claims, expected.user_claim),
        expires_at=expires_at,
        info=_bytes(claims, "info"),
        meta=_json(claims, "meta"),
        channels=_texts(claims, "channels"),
        subs={channel: _options(_checked(value, "subs", dict) or {}) for channel, value in subs.items()},
    )


def subscription(payload: bytes, expected: Expected, now: float) -> SubscriptionClaims:
    """The claims of a subscription token. Raises TokenExpired or TokenInvalid."""
    claims = _object(payload)
    _check_origin(claims, expected)
    expires_at = _expiry(claims, now)
    channel = _text(claims, "channel")
    if not channel:
        raise TokenInvalid("A subscription token has a claim channel.")
    return SubscriptionClaims(
        user=_user(claims, expected.user_claim),
        channel=channel,
        client=_text(claims, "client"),
        expires_at=expires_at,
        options=_options(claims),
    )


def _pattern(whole: str, part: str) -> re.Pattern[str] | None:
    """Finds what a claim must be: that text, or a match of that regular expression somewhere in it."""
    if whole:
        return re.compile(rf"\A{re.escape(whole)}\Z")
    return re.compile(part) if part else None


def _object(payload: bytes) -> dict[str, Any]:
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise TokenInvalid("The payload is not JSON.") from None
    if not isinstance(claims, dict):
        raise TokenInvalid("The payload is not a JSON object.")
    return claims


def _check_origin(claims: Mapping[str, Any], expected: Expected) -> None:
    audience = claims.get("aud")
    audiences = (audience,) if isinstance(audience, str) else _texts(claims, "aud")
    if expected.audience and not any(expected.audience.search(one) for one in audiences):
        raise TokenInvalid("The claim aud is another.")
    if expected.issuer and not expected.issuer.search(_text(claims, "iss")):
        raise TokenInvalid("The claim iss is another.")


def _expiry(claims: Mapping[str, Any], now: float) -> int | None:
    """When what the token is for ends; `exp` says so unless `expire_at` does. Raises TokenExpired."""
    exp, nbf = _time(claims, "exp"), _time(claims, "nbf")
    at = _get(claims, "expire_at", int)
    if (exp is not None and exp <= now) or (nbf is not None and nbf > now):
        raise TokenExpired
    if at is None:
        return None if exp is None else int(exp)
    if at >= LAST:
        raise TokenInvalid("The claim expire_at is no time.")
    return at if at > 0 else None


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    time: float | None = _get(claims, name, int | float)
    if time is not None and not -LAST < time < LAST:
        raise TokenInvalid(f"The claim {name} is no time.")
    return time


def _user(claims: Mapping[str, Any], name: str) -> str:
    """The user's id; a claim that is not the standard one may have a number."""
    value = claims.get(name)
    if name != "sub" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(claims, name)


def _options(claims: Mapping[str, Any]) -> SubscriptionOptions:
    return SubscriptionOptions(
        info=_bytes(claims, "info"),
        data=_bytes(claims, "data"),
        override=_override(_get(claims, "override", dict) or {}),
    )


def _override(claims: Mapping[str, Any]) -> Override:
    given = {name: _get(claims, name, dict) for name in Override.__dataclass_fields__}
    return Override(
        **{name: bool(_get(value, "value", bool)) for name, value in given.items() if value is not None},
    )


def _bytes(claims: Mapping[str, Any], name: str) -> bytes | None:
    """What is given in Base64 as `b64<name>`, or else as JSON."""
    encoded = _text(claims, f"b64{name}")
    if not encoded:
        return _json(claims, name)
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise TokenInvalid(f"The claim b64{name} is not Base64.") from None


def _json(claims: Mapping[str, Any], name: str) -> bytes | None:
    value = claims.get(name)
    return None if value is None else orjson.dumps(value)


def _text(claims: Mapping[str, Any], name: str) -> str:
    return _get(claims, name, str) or ""


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(_checked(one, name, str) or "" for one in _get(claims, name, list) or ())


def _get(claims: Mapping[str, Any], name: str, kind: Any) -> Any:
    """A claim of that type; None if it is absent or null. Raises TokenInvalid."""
    return _checked(claims.get(name), name, kind)


def _checked(value: object, name: str, kind: Any) -> Any:
    if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise TokenInvalid(f"The claim {name} has the wrong type.")
    return value
