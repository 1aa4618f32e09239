"""Secrets that stand in the database sealed, so that a copy of it is worth nothing without HUB_SECRET."""

from __future__ import annotations

import base64
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class NotSealed(Exception):
    """Was not sealed for this by this HUB_SECRET."""


def seal(secret: str, purpose: str, plain: bytes) -> str:
    """The text to store; only what is sealed for the same purpose opens for it."""
    nonce = secrets.token_bytes(_NONCE)
    return base64.b64encode(nonce + _cipher(secret).encrypt(nonce, plain, purpose.encode())).decode()


def unseal(secret: str, purpose: str, stored: str) -> bytes:
    """What was sealed. Raises NotSealed."""
    try:
        raw = base64.b64decode(stored, validate=True)
        return _cipher(secret).decrypt(raw[:_NONCE], raw[_NONCE:], purpose.encode())
    except (ValueError, InvalidTag):
        raise NotSealed from None


def keyed_hash(secret: str, purpose: str, text: str) -> str:
    """A hash nobody can guess texts for without the secret."""
    return hmac.digest(_key(secret, "hash"), f"{purpose}:{text}".encode(errors="replace"), "sha256").hex()


def _cipher(secret: str) -> AESGCM:
    return AESGCM(_key(secret, "seal"))


def _key(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"switchboard {purpose}".encode(), "sha256")
