"""Tokens we issue ourselves, for users who are signed in.

They are signed with client.token.hmac_secret_key, so that a Centrifugo beside us takes them too. Where there is none,
or claims are asked for that we could only guess, they are signed with a key made of HUB_SECRET: one for each kind of
token, so that none can be taken for another, or for an access token, which HUB_SECRET itself signs.
"""

from __future__ import annotations

import base64
import hmac
import time
from dataclasses import dataclass
from typing import Any

import orjson

from hub.configuration import Client, Token

ALGORITHM = "HS256"

#: What a key is made for.
CONNECTION, SUBSCRIPTION = "connection token", "subscription token"


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A token, and when it ends in Unix seconds."""

    token: str
    expires_at: int


def derived_key(secret: str, purpose: str) -> bytes:
    """The key for one purpose, of which neither the secret nor the key for another can be told."""
    return hmac.digest(secret.encode(), f"switchboard {purpose}".encode(), "sha256")


class Issuer:
    """Signs connection and subscription tokens."""

    def __init__(self, client: Client, secret: str, *, life: int) -> None:
        """`secret` is HUB_SECRET; `life` is the life of a token in seconds."""
        subscription = client.subscription_token if client.subscription_token.enabled else client.token
        self._connection = _Signer(client.token, derived_key(secret, CONNECTION))
        self._subscription = _Signer(subscription, derived_key(secret, SUBSCRIPTION))
        self._life = life

    def connection(self, user: str) -> Issued:
        """A token to connect with as this user."""
        return self._issue(self._connection, user)

    def subscription(self, user: str, channel: str) -> Issued:
        """A token for this user to subscribe to that channel with."""
        return self._issue(self._subscription, user, channel=channel)

    def _issue(self, signer: _Signer, user: str, **claims: str) -> Issued:
        now = int(time.time())
        times = {"iat": now, "exp": now + self._life}
        return Issued(token=signer.sign({"sub": user, **times, **claims}), expires_at=now + self._life)


class _Signer:
    """Signs one kind of token."""

    def __init__(self, token: Token, own: bytes) -> None:
        guessing = token.audience_regex or token.issuer_regex
        if token.hmac_secret_key and not token.jwks_public_endpoint and not guessing:
            self._key = token.hmac_secret_key.encode()
            self._claims = {"aud": token.audience, "iss": token.issuer}
            self._user_claim = token.user_id_claim
        else:
            self._key, self._claims, self._user_claim = own, {}, ""

    def sign(self, claims: dict[str, Any]) -> str:
        """The token that says `claims`, and what else must be said."""
        claims |= {name: value for name, value in self._claims.items() if value}
        if self._user_claim:
            claims[self._user_claim] = claims["sub"]
        # Not by PyJWT, which warns of every use of a secret shorter than 32 bytes.
        signed = b".".join(_encoded(orjson.dumps(part)) for part in ({"alg": ALGORITHM, "typ": "JWT"}, claims))
        return b".".join((signed, _encoded(hmac.digest(self._key, signed, "sha256")))).decode()


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
