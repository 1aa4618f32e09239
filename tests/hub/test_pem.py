"""Public keys as PEM text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hub import pem
from tests.hub.centrifuge.signing import EC_384, ED, RSA, Pair


def test_public_keys() -> None:
    assert pem.rsa(f"\n{RSA.public_pem}\n") == RSA.private.public_key()
    assert pem.ecdsa(EC_384.public_pem) == EC_384.private.public_key()


def test_the_key_of_a_certificate() -> None:
    assert isinstance(RSA.private, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, RSA.private.public_key(), 1, now, now + timedelta(days=1))
    text = builder.sign(RSA.private, SHA256()).public_bytes(Encoding.PEM).decode()
    assert pem.rsa(text) == RSA.private.public_key()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        EC_384.public_pem,
        ED.public_pem,
        RSA.public_pem[:100],
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "ключ",
    ],
    ids=lambda text: f"{len(text)} characters",  # keys are new in each process
)
def test_what_is_no_rsa_key(text: str) -> None:
    with pytest.raises(ValueError, match="an RSA public key or certificate"):
        pem.rsa(text)


@pytest.mark.parametrize("text", ["", RSA.public_pem, Pair(ec.generate_private_key(ec.SECP256K1())).public_pem])
def test_what_is_no_key_on_a_curve_for_tokens(text: str) -> None:
    with pytest.raises(ValueError, match="on the curve P-256"):
        pem.ecdsa(text)
