"""Tokens of our own: read back by ourselves and, with a shared secret, by a Centrifugo beside us."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from hub.centrifuge.issuer import Issuer, derived_key
from hub.centrifuge.verifier import Verifier
from hub.configuration import Client, SubscriptionToken, Token
from tests.hub.centrifuge.signing import HMAC, RSA
from tests.hub.rest import SECRET

#: Beside `sub`, `iat` and `exp`.
CLAIMS: list[tuple[Token, str, dict[str, Any]]] = [
    (Token(), "", {}),
    (Token(rsa_public_key=RSA.public_pem, audience="hub"), "", {}),
    (Token(jwks_public_endpoint="https://example.com/keys", hmac_secret_key=HMAC), "", {}),
    (Token(hmac_secret_key=HMAC, issuer_regex="^x"), "", {}),
    (Token(hmac_secret_key=HMAC), HMAC, {}),
    (Token(hmac_secret_key=HMAC, audience="hub", issuer="me"), HMAC, {"aud": "hub", "iss": "me"}),
    (Token(hmac_secret_key=HMAC, user_id_claim="user_id"), HMAC, {"user_id": "42"}),
]


@pytest.mark.parametrize(("token", "secret", "more"), CLAIMS)
async def test_what_is_issued_is_read_back(token: Token, secret: str, more: dict[str, Any]) -> None:
    client = Client(token=token)
    issuer, verifier = Issuer(client, SECRET, life=60), Verifier(client, SECRET)
    before = int(time.time())
    issued = issuer.connection("42")
    claims = await verifier.connection(issued.token)
    assert (claims.user, claims.expires_at) == ("42", issued.expires_at)
    assert before + 60 <= issued.expires_at <= time.time() + 60
    assert jwt.get_unverified_header(issued.token) == {"alg": "HS256", "typ": "JWT"}
    key = secret or derived_key(SECRET, "connection token")
    payload = jwt.decode(issued.token, key, ["HS256"], audience=more.get("aud"))
    assert payload == {"sub": "42", "iat": issued.expires_at - 60, "exp": issued.expires_at, **more}

    subscription = await verifier.subscription(issuer.subscription("42", "lead:7").token)
    assert (subscription.user, subscription.channel) == ("42", "lead:7")


async def test_subscription_tokens_have_the_secret_that_is_for_them() -> None:
    own = "a secret for subscriptions, as long as it needs to be for HS256"
    client = Client(
        token=Token(hmac_secret_key=HMAC), subscription_token=SubscriptionToken(enabled=True, hmac_secret_key=own)
    )
    issuer = Issuer(client, SECRET, life=60)
    assert jwt.decode(issuer.connection("42").token, HMAC, ["HS256"])["sub"] == "42"
    assert jwt.decode(issuer.subscription("42", "a").token, own, ["HS256"])["channel"] == "a"


def test_derived_keys_differ() -> None:
    made = {derived_key(secret, purpose) for secret in ("a", "b") for purpose in ("connection token", "x")}
    assert len(made) == 4
