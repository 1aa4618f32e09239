"""Public keys as PEM text: a key of its own, or that of a certificate."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

#: How a PEM text begins.
BEGINNING = "-----BEGIN "


def rsa(text: str) -> RSAPublicKey:
    """An RSA public key. Raises ValueError with a description of what is allowed."""
    key = _load(text)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("an RSA public key or certificate in PEM form")
    return key


def ecdsa(text: str) -> EllipticCurvePublicKey:
    """A public key on an elliptic curve. Raises ValueError with a description of what is allowed."""
    key = _load(text)
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in ("secp256r1", "secp384r1", "secp521r1"):
        raise ValueError("a public key or certificate in PEM form on the curve P-256, P-384 or P-521")
    return key


def _load(text: str) -> object:
    raw = text.strip().encode()
    try:
        if raw.startswith(b"-----BEGIN CERTIFICATE-----"):
            return x509.load_pem_x509_certificate(raw).public_key()
        return load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        return None
