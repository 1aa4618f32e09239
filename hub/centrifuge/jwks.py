"""Public keys of whoever signs tokens, read from a JSON Web Key Set: over HTTP or from a file.

Keys are read again when a token names one that is not known, at most every PAUSE seconds, and once an hour, so that a
key taken out of the set is not accepted for ever. While the set cannot be read, the keys known last stay good.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from hub.centrifuge.claims import KeysUnavailable

log = structlog.get_logger()

#: Seconds between two reads, seconds after which keys are read again, and seconds that a read may take.
PAUSE, LIFE, PATIENCE = 10.0, 3600.0, 3.0

#: Largest set, in bytes.
LARGEST = 1024 * 1024

RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512"})
#: An algorithm belongs to one curve.
EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

_READERS: Mapping[str, Callable[[Any], object]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, kw_only=True)
class Key:
    """A public key, and the algorithms whose signatures it may check."""

    key: PublicKey
    algorithms: frozenset[str]


class SetError(Exception):
    """What was read is not a key set."""


class KeySet:
    """The keys of one source: an http://, https:// or file:// address, or the path of a file."""

    def __init__(self, source: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._shown = urlsplit(source).hostname or source
        self._clock = clock
        self._keys: Mapping[str, Key] = {}
        #: When the last read began, and the last one that succeeded.
        self._tried = self._read = float("-inf")
        #: The read that is under way. It belongs to all who wait for it, and goes on when one of them goes away.
        self._reading: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> Key | None:
        """The key of that id; None if the set has none. Raises KeysUnavailable if that cannot be told now."""
        asked = self._clock()
        known = self._keys.get(kid)
        if known is not None and (self._fresh or self._reading):
            return known
        if self._reading is None and asked - self._tried >= PAUSE:
            self._reading = asyncio.create_task(self._refresh())
        if self._reading is not None:
            await asyncio.shield(self._reading)
        found = self._keys.get(kid)
        if found is None and self._read < asked:
            raise KeysUnavailable
        return found

    @property
    def _fresh(self) -> bool:
        return self._clock() - self._read < LIFE

    async def _refresh(self) -> None:
        self._tried = now = self._clock()
        try:
            async with asyncio.timeout(PATIENCE):
                self._keys = keys(await self._document())
        except (aiohttp.ClientError, OSError, TimeoutError, SetError) as error:
            # Neither the address nor what aiohttp says of it: a key may stand there.
            status = getattr(error, "status", None)
            log.warning("jwks_not_read", source=self._shown, error=type(error).__name__, status=status)
        else:
            self._read = now
            log.info("jwks_read", source=self._shown, keys=len(self._keys))
        finally:
            self._reading = None

    async def _document(self) -> bytes:
        if not self._source.startswith(("http://", "https://")):
            return _file(self._source)
        async with aiohttp.ClientSession() as http, http.get(self._source, raise_for_status=True) as reply:
            document = await reply.content.read(LARGEST + 1)
            while len(document) <= LARGEST and (more := await reply.content.read(LARGEST)):
                document += more
        if len(document) > LARGEST:
            raise SetError("too large")
        return document


def _file(source: str) -> bytes:
    return Path(unquote(urlsplit(source).path) if source.startswith("file:") else source).read_bytes()


def keys(document: bytes) -> dict[str, Key]:
    """The keys of a set that sign, by id; others are passed over. Raises SetError."""
    try:
        entries = orjson.loads(document)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise SetError("no list of keys") from None
    if not isinstance(entries, list):
        raise SetError("no list of keys")
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(kid := entry.get("kid"), str):
            continue
        key = _key(entry)
        if key is None:
            log.warning("jwks_key_passed_over", kid=kid, kty=str(entry.get("kty")))
        elif entry.get("use", "sig") == "sig":
            found[kid] = key
    return found


def algorithms_of(key: PublicKey) -> frozenset[str]:
    """The algorithms that a key may be used with."""
    match key:
        case RSAPublicKey():
            return RSA_ALGORITHMS
        case EllipticCurvePublicKey():
            return frozenset({EC_ALGORITHMS[key.curve.name]} if key.curve.name in EC_ALGORITHMS else ())
    return frozenset({"EdDSA"})


def _key(entry: Mapping[str, Any]) -> Key | None:
    try:
        key = _READERS[entry["kty"]](dict(entry))
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        return None
    allowed = algorithms_of(key)
    if "alg" in entry:
        allowed &= {str(entry["alg"])}
    return Key(key=key, algorithms=allowed) if allowed else None
