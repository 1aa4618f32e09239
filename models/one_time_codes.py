"""Codes of a second factor: six digits of the moment (TOTP, RFC 6238), and recovery codes for a phone that is gone."""

from __future__ import annotations

import hmac
import secrets

import pyotp

#: Seconds a code is shown for; it is taken one step earlier and later, for clocks that differ.
STEP = 30
ISSUER = "Switchboard"

RECOVERY_CODES = 10
#: No letters or digits that look alike.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def new_secret() -> str:
    """A secret for an authenticator, 160 bits in base32."""
    return pyotp.random_base32()


def address(secret: str, name: str) -> str:
    """What an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(secret: str, code: str, *, now: float, after: int) -> int | None:
    """The time step a code belongs to, None if it is wrong or that step is not after the last one used."""
    totp, here = pyotp.TOTP(secret, interval=STEP), int(now) // STEP
    right = [step for step in (here - 1, here, here + 1) if hmac.compare_digest(totp.at(step * STEP), code)]
    return next((step for step in right if step > after), None)


def recovery_codes() -> list[str]:
    """New codes, each good once, such as `mk7f2-9xq4d`."""
    return ["-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in "ab") for _ in range(RECOVERY_CODES)]


def plain(code: str) -> str:
    """A recovery code without what a person may add or leave out."""
    return code.strip().lower().replace("-", "").replace(" ", "")
