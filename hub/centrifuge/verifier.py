"""Whose tokens are good: the configured keys', and our own.

A token names its algorithm, but not which key it is checked with: a secret is only ever used for HS*, an RSA key for
RS*, a key on a curve for the ES* of that curve. So nobody can pass a public key off as a secret, and `none` is nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.algorithms import get_default_algorithms

from hub import pem
from hub.centrifuge import claims
from hub.centrifuge.claims import ConnectionClaims, Expected, SubscriptionClaims, TokenInvalid
from hub.centrifuge.issuer import ALGORITHM, CONNECTION, SUBSCRIPTION, derived_key
from hub.centrifuge.jwks import KeySet, PublicKey, algorithms_of
from hub.configuration import Client, Token

_HASHES: dict[str, Callable[..., Any]] = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_ALGORITHMS = get_default_algorithms()
_JWS = jwt.PyJWS()

Clock = Callable[[], float]


@dataclass(frozen=True)
class _Parts:
    """A token taken apart."""

    header: dict[str, Any]
    payload: bytes
    signed: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        return str(self.header.get("alg"))


class Verifier:
    """Reads connection and subscription tokens."""

    def __init__(self, client: Client, secret: str, *, clock: Clock = time.time) -> None:
        """`secret` is HUB_SECRET, of which our own tokens' keys are made; `clock` gives Unix seconds."""
        self._clock = clock
        skip = client.insecure_skip_token_signature_verify
        separate = client.subscription_token.enabled
        subscription = client.subscription_token if separate else client.token
        # Both kinds share what is read from one address.
        sources = {one.jwks_public_endpoint for one in (client.token, subscription)}
        sets = {source: KeySet(source) for source in sources if source}
        own = (derived_key(secret, CONNECTION), derived_key(secret, SUBSCRIPTION))
        self._connection = _Signatures(client.token, own[0], sets, skip=skip, clock=clock)
        self._subscription = _Signatures(subscription, own[1], sets, skip=skip, clock=clock)

    async def connection(self, token: str) -> ConnectionClaims:
        """What a connection token says. Raises TokenExpired, TokenInvalid or KeysUnavailable."""
        payload, expected = await self._connection.opened(token)
        return claims.connection(payload, expected, self._clock())

    async def subscription(self, token: str) -> SubscriptionClaims:
        """What a subscription token says. Raises the same."""
        payload, expected = await self._subscription.opened(token)
        return claims.subscription(payload, expected, self._clock())


class _Signatures:
    """The signatures that are accepted on one kind of token."""

    def __init__(self, token: Token, own: bytes, sets: dict[str, KeySet], *, skip: bool, clock: Clock) -> None:
        self._token = token
        self._own = own
        self._set = sets.get(token.jwks_public_endpoint)
        self._skip = skip
        self._clock = clock
        self._expected = Expected.of(token)
        self._keys: list[PublicKey] = []
        if token.rsa_public_key:
            self._keys.append(pem.rsa(token.rsa_public_key))
        if token.ecdsa_public_key:
            self._keys.append(pem.ecdsa(token.ecdsa_public_key))

    async def opened(self, token: str) -> tuple[bytes, Expected]:
        """The payload of a token that is well signed, and what its claims must be."""
        parts = _parts(token)
        if parts.algorithm == ALGORITHM and _signed(parts, self._own):
            return parts.payload, Expected()
        if self._skip or await self._good(parts):
            return parts.payload, self._expected
        raise TokenInvalid("The signature is not good.")

    async def _good(self, parts: _Parts) -> bool:
        if self._set is not None:
            return await self._good_in_set(self._set, parts)
        if parts.algorithm in _HASHES:
            return any(_signed(parts, secret.encode()) for secret in self._secrets())
        keys = [key for key in self._keys if parts.algorithm in algorithms_of(key)]
        return any(_verified(parts, key) for key in keys)

    async def _good_in_set(self, keys: KeySet, parts: _Parts) -> bool:
        kid = parts.header.get("kid")
        if not isinstance(kid, str) or not kid or parts.algorithm in _HASHES or parts.algorithm not in _ALGORITHMS:
            return False
        key = await keys.find(kid)
        return key is not None and parts.algorithm in key.algorithms and _verified(parts, key.key)

    def _secrets(self) -> Iterator[str]:
        token = self._token
        if token.hmac_secret_key:
            yield token.hmac_secret_key
        until = token.hmac_previous_secret_key_valid_until
        if token.hmac_previous_secret_key and not 0 < until < self._clock():
            yield token.hmac_previous_secret_key


def _parts(token: str) -> _Parts:
    try:
        found = _JWS.decode_complete(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise TokenInvalid("It is no token.") from None
    signed = token.rpartition(".")[0].encode()
    return _Parts(header=found["header"], payload=found["payload"], signed=signed, signature=found["signature"])


def _signed(parts: _Parts, secret: bytes) -> bool:
    hash = _HASHES[parts.algorithm]
    return hmac.compare_digest(hmac.new(secret, parts.signed, hash).digest(), parts.signature)


def _verified(parts: _Parts, key: PublicKey) -> bool:
    return bool(_ALGORITHMS[parts.algorithm].verify(parts.signed, key, parts.signature))
