"""Keys that sign tokens, as a backend has them, and tokens signed with them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Pair:
    """A private key and what is public of it."""

    private: Private

    @cached_property
    def public_pem(self) -> str:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def jwk(self, kid: str, **more: Any) -> dict[str, Any]:
        """The public key as an entry of a key set."""
        match self.private:
            case rsa.RSAPrivateKey():
                made = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            case ec.EllipticCurvePrivateKey():
                made = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            case _:
                made = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**made, "kid": kid, "use": "sig", **more}


RSA = Pair(rsa.generate_private_key(65537, 2048))
OTHER_RSA = Pair(rsa.generate_private_key(65537, 2048))
EC_256 = Pair(ec.generate_private_key(ec.SECP256R1()))
EC_384 = Pair(ec.generate_private_key(ec.SECP384R1()))
ED = Pair(ed25519.Ed25519PrivateKey.generate())

HMAC = "bbe7d157-a253-4094-9759-06a8236543f9-06a8236543f9-bbe7d157-a253-4094"


def signed(
    key: Pair | str | None = HMAC, algorithm: str | None = "HS256", *, kid: str | None = None, **claims: Any
) -> str:
    """A token of user 42, good for a minute unless the claims say otherwise; a claim that is None is left out."""
    payload = {"sub": "42", "exp": int(time.time()) + 60, **claims}
    headers = {"kid": kid} if kid is not None else None
    secret = key.private if isinstance(key, Pair) else key
    given = {name: value for name, value in payload.items() if value is not None}
    return jwt.api_jws.PyJWS().encode(json.dumps(given).encode(), secret or "", algorithm, headers)
