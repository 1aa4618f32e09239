"""Whose tokens are good: every algorithm with the right key, and nothing else."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from hub import tokens
from hub.centrifuge.claims import TokenExpired, TokenInvalid
from hub.centrifuge.issuer import CONNECTION, SUBSCRIPTION, derived_key
from hub.centrifuge.verifier import Verifier
from hub.configuration import Client, SubscriptionToken, Token
from hub.tokens import Kind
from tests.hub.centrifuge.signing import EC_256, EC_384, ED, HMAC, OTHER_RSA, RSA, Pair, signed
from tests.hub.centrifuge.test_jwks import Provider, providing
from tests.hub.rest import SECRET

KEYS = Token(hmac_secret_key=HMAC, rsa_public_key=RSA.public_pem, ecdsa_public_key=EC_256.public_pem)


def verifier(token: Token = KEYS, **client: Any) -> Verifier:
    return Verifier(Client(token=token, **client), SECRET)


def tampered(token: str, part: int) -> str:
    """The same token with another character in the middle of a part."""
    parts = token.split(".")
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    return ".".join(parts)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (HMAC, "HS256"),
        (HMAC, "HS384"),
        (HMAC, "HS512"),
        (RSA, "RS256"),
        (RSA, "RS384"),
        (RSA, "RS512"),
        (EC_256, "ES256"),
    ],
)
async def test_configured_keys(key: Pair | str, algorithm: str) -> None:
    token = signed(key, algorithm)
    assert (await verifier().connection(token)).user == "42"
    assert (await verifier().subscription(signed(key, algorithm, channel="a"))).channel == "a"
    for part in (0, 1, 2):
        with pytest.raises(TokenInvalid):
            await verifier().connection(tampered(token, part))


@pytest.mark.parametrize(
    "token",
    [
        signed(None, "none"),
        signed("another secret, which is as long as it needs to be for HS256"),
        signed(OTHER_RSA, "RS256"),
        signed(RSA, "PS256"),
        signed(EC_384, "ES384"),
        signed(ED, "EdDSA"),
        # A public key used as a secret, as an attacker would who hopes that we look at the header alone.
        jwt.api_jws.PyJWS().encode(b'{"sub": "1"}', EC_256.public_pem[26:], "HS256"),
        "",
        "text",
        "a.b.c",
        "..",
        ".".join(signed().split(".")[:2]) + ".",
        ".".join(signed().split(".")[:2]),
        "ä.ö.ü",
    ],
    ids=lambda token: f"{len(token)} characters",  # keys, and with them tokens, are new in each process
)
async def test_anything_else_is_refused(token: str) -> None:
    for read in (verifier().connection, verifier().subscription):
        with pytest.raises(TokenInvalid):
            await read(token)


async def test_a_public_key_is_no_secret() -> None:
    pem = RSA.public_pem
    for secret in (pem, pem.strip(), "".join(pem.splitlines()[1:-1])):
        header, payload, _ = signed(HMAC).split(".")
        forged = _signed_with(secret, f"{header}.{payload}")
        with pytest.raises(TokenInvalid):
            await verifier(Token(rsa_public_key=pem)).connection(forged)


def _signed_with(secret: str, text: str) -> str:
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = algorithm.sign(text.encode(), secret.encode())
    return f"{text}.{jwt.utils.base64url_encode(signature).decode()}"


async def test_header_without_algorithm() -> None:
    header = jwt.utils.base64url_encode(b'{"typ":"JWT"}').decode()
    _, payload, signature = signed().split(".")
    with pytest.raises(TokenInvalid):
        await verifier().connection(f"{header}.{payload}.{signature}")


async def test_without_keys_only_our_own_are_good() -> None:
    with pytest.raises(TokenInvalid):
        await verifier(Token()).connection(signed())
    with pytest.raises(TokenInvalid):
        await verifier(Token()).connection(_signed_with("", signed().rpartition(".")[0]))


async def test_expired_and_not_yet_good() -> None:
    now = int(time.time())
    late: dict[str, Any] = {"exp": now - 1}
    for claims in (late, {"nbf": now + 60}):
        with pytest.raises(TokenExpired):
            await verifier().connection(signed(**claims))
        with pytest.raises(TokenExpired):
            await verifier().subscription(signed(channel="a", **claims))
    with pytest.raises(TokenInvalid):
        await verifier().connection(signed("another secret, which is as long as it needs to be", exp=now - 1))


async def test_the_previous_secret_for_a_while() -> None:
    old = "the secret before, which is as long as it needs to be for HS256"
    token = signed(old)
    for until, good in [(0, True), (int(time.time()) + 60, True), (int(time.time()) - 60, False)]:
        keys = Token(hmac_secret_key=HMAC, hmac_previous_secret_key=old, hmac_previous_secret_key_valid_until=until)
        if good:
            await verifier(keys).connection(token)
        else:
            with pytest.raises(TokenInvalid):
                await verifier(keys).connection(token)
        assert (await verifier(keys).connection(signed())).user == "42"


async def test_short_secrets_are_the_operators_business() -> None:
    assert await verifier(Token(hmac_secret_key="short")).connection(_signed_with("short", signed().rpartition(".")[0]))


async def test_audience_and_issuer() -> None:
    token = Token(hmac_secret_key=HMAC, audience="hub", issuer="me")
    assert await verifier(token).connection(signed(aud="hub", iss="me"))
    for claims in ({}, {"aud": "hub"}, {"aud": "x", "iss": "me"}, {"aud": "hub", "iss": "x"}):
        with pytest.raises(TokenInvalid):
            await verifier(token).connection(signed(**claims))


async def test_subscription_tokens_of_their_own() -> None:
    own = "a secret for subscriptions, as long as it needs to be for HS256"
    separate = verifier(subscription_token=SubscriptionToken(enabled=True, hmac_secret_key=own))
    assert await separate.connection(signed(HMAC))
    assert await separate.subscription(signed(own, channel="a"))
    with pytest.raises(TokenInvalid):
        await separate.subscription(signed(HMAC, channel="a"))
    with pytest.raises(TokenInvalid):
        await separate.connection(signed(own))
    together = verifier(subscription_token=SubscriptionToken(hmac_secret_key=own))
    assert await together.subscription(signed(HMAC, channel="a"))


async def test_signatures_are_skipped_when_asked_for() -> None:
    careless = verifier(Token(audience="hub"), insecure_skip_token_signature_verify=True)
    assert (await careless.connection(signed("whoever this is, and whatever the secret is", aud="hub"))).user == "42"
    assert (await careless.connection(signed(None, "none", aud="hub"))).user == "42"
    with pytest.raises(TokenInvalid):
        await careless.connection(signed(None, "none"))
    with pytest.raises(TokenExpired):
        await careless.connection(signed(None, "none", aud="hub", exp=1))


@pytest.mark.parametrize("kind", [CONNECTION, SUBSCRIPTION])
async def test_our_own_keys_are_for_one_thing_each(kind: str) -> None:
    token = _signed_with_key(derived_key(SECRET, kind), channel="a")
    plain = _signed_with_key(derived_key(SECRET, kind))
    if kind == CONNECTION:
        assert (await verifier().connection(plain)).user == "42"
        with pytest.raises(TokenInvalid):
            await verifier().subscription(token)
    else:
        assert (await verifier().subscription(token)).channel == "a"
        with pytest.raises(TokenInvalid):
            await verifier().connection(plain)


def _signed_with_key(key: bytes, **claims: Any) -> str:
    return jwt.encode({"sub": "42", "exp": int(time.time()) + 60, **claims}, key, "HS256")


async def test_access_tokens_are_something_else() -> None:
    for kind in Kind:
        access = tokens.sign(SECRET, tokens.claim(kind, 42, 5))
        for keys in (KEYS, Token()):
            with pytest.raises(TokenInvalid):
                await verifier(keys).connection(access)
    connection = _signed_with_key(derived_key(SECRET, CONNECTION), user_id=42, token_type="access", iat=1, jti="0" * 32)
    with pytest.raises(tokens.TokenError):
        tokens.read(SECRET, connection, Kind.ACCESS)


async def test_keys_from_an_address() -> None:
    async with providing() as provider:
        await _rotation(provider)


async def _rotation(provider: Provider) -> None:
    provider.keys = [RSA.jwk("a"), EC_384.jwk("b"), ED.jwk("c")]
    keys = verifier(Token(jwks_public_endpoint=provider.url, hmac_secret_key=HMAC, rsa_public_key=OTHER_RSA.public_pem))
    for key, algorithm, kid in [(RSA, "RS256", "a"), (RSA, "RS512", "a"), (EC_384, "ES384", "b"), (ED, "EdDSA", "c")]:
        assert (await keys.connection(signed(key, algorithm, kid=kid))).user == "42"
        assert (await keys.subscription(signed(key, algorithm, kid=kid, channel="x"))).channel == "x"
    assert provider.reads == 1
    refused = [
        signed(OTHER_RSA, "RS256", kid="a"),
        signed(RSA, "RS256"),
        signed(RSA, "RS256", kid=""),
        signed(RSA, "RS256", kid="b"),
        signed(EC_384, "ES384", kid="a"),
        signed(None, "none", kid="a"),
        # Keys that are written down are not used beside the address.
        signed(HMAC),
        signed(HMAC, kid="a"),
        signed(OTHER_RSA, "RS256"),
    ]
    for token in refused:
        with pytest.raises(TokenInvalid):
            await keys.connection(token)
    assert provider.reads == 1
    assert (await keys.connection(_signed_with_key(derived_key(SECRET, CONNECTION)))).user == "42"
