"""Tokens: what is signed is read back, and nothing else."""

import time
from typing import Any

import jwt
import pytest

from hub import tokens
from hub.tokens import Kind, TokenError
from tests.hub.rest import SECRET

CLAIMS = {
    "token_type": "access",
    "exp": int(time.time()) + 36_000,
    "iat": int(time.time()),
    "jti": "0" * 32,
    "user_id": 7,
}


def encoded(secret: str = SECRET, algorithm: str = "HS256", without: str = "", **changed: Any) -> str:
    payload = {name: value for name, value in {**CLAIMS, **changed}.items() if name != without}
    return jwt.encode(payload, secret, algorithm=algorithm)


def test_what_is_signed_is_read_back() -> None:
    claims = tokens.claim(Kind.REFRESH, 7, 5)
    assert tokens.read(SECRET, tokens.sign(SECRET, claims), Kind.REFRESH) == claims
    assert claims.expires - claims.issued == 300


def test_a_token_that_was_good_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    token = encoded()
    tokens.read(SECRET, token, Kind.ACCESS)
    monkeypatch.setattr(time, "time", lambda: CLAIMS["exp"])
    with pytest.raises(TokenError, match="expired"):
        tokens.read(SECRET, token, Kind.ACCESS)


def test_the_claims_are_those_of_the_reference() -> None:
    token = tokens.sign(SECRET, tokens.claim(Kind.ACCESS, 7, 5))
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert set(jwt.decode(token, options={"verify_signature": False})) == {
        "token_type",
        "exp",
        "iat",
        "jti",
        "user_id",
    }


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (encoded(exp=1), "Token is expired."),
        (encoded(token_type="refresh"), "Token has wrong type."),
        (encoded(secret="another secret that is as long as the first"), "Token is invalid."),
        (encoded(secret="", algorithm="none"), "Token is invalid."),
        (encoded(token_type="master"), "Token is invalid."),
        (encoded(token_type=["access"]), "Token is invalid."),
        (encoded(user_id="seven"), "Token is invalid."),
        (encoded(user_id=2**70), "Token is invalid."),
        (encoded(user_id=True), "Token is invalid."),
        (encoded(jti=5), "Token is invalid."),
        (encoded(jti="short"), "Token is invalid."),
        *((encoded(without=name), "Token is invalid.") for name in CLAIMS),
        ("", "Token is invalid."),
        ("x.y.z", "Token is invalid."),
        ("\u0661", "Token is invalid."),
    ],
)
def test_anything_else_is_refused(token: str, said: str) -> None:
    with pytest.raises(TokenError, match=said):
        tokens.read(SECRET, token, Kind.ACCESS)
