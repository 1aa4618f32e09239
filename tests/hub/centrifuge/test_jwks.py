"""Keys from a JSON Web Key Set: which are taken, when they are read again, and what holds while they cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from hub.centrifuge import jwks
from hub.centrifuge.claims import KeysUnavailable
from hub.centrifuge.jwks import LIFE, PAUSE, KeySet, SetError
from tests.hub.centrifuge.signing import EC_256, EC_384, ED, OTHER_RSA, RSA, Pair


class Clock:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Provider:
    """Whoever signs, with an address for the public keys."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.status = 200
        self.reads = 0
        self.url = ""
        self.hold: asyncio.Event | None = None

    async def answer(self, _request: web.Request) -> web.Response:
        self.reads += 1
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(body=orjson.dumps({"keys": self.keys}), status=self.status)


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """A provider on a port of its own."""
    provider = Provider()
    app = web.Application()
    app.router.add_get("/keys", provider.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    provider.url = f"http://{host}:{port}/keys"
    try:
        yield provider
    finally:
        await runner.cleanup()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as running:
        yield running


async def test_keys_are_read_once_and_again_for_a_new_one(provider: Provider) -> None:
    clock = Clock()
    keys = KeySet(provider.url, clock=clock)
    provider.keys = [RSA.jwk("a"), EC_256.jwk("b")]
    first = await keys.find("a")
    assert first is not None
    assert first.key == RSA.private.public_key()
    assert await keys.find("b")
    assert await keys.find("a")
    assert provider.reads == 1

    provider.keys = [OTHER_RSA.jwk("c")]
    clock.now += PAUSE
    assert await keys.find("c")
    assert await keys.find("a") is None
    assert provider.reads == 2


async def test_ids_nobody_knows_do_not_make_it_read_again_and_again(provider: Provider) -> None:
    clock = Clock()
    keys = KeySet(provider.url, clock=clock)
    assert await keys.find("a") is None
    clock.now += 1
    for n in range(20):
        with pytest.raises(KeysUnavailable):
            await keys.find(f"x{n}")
    assert provider.reads == 1
    clock.now += PAUSE
    assert await keys.find("x") is None
    assert provider.reads == 2


async def test_many_that_ask_at_once_read_once(provider: Provider) -> None:
    provider.keys = [RSA.jwk("a")]
    provider.hold = asyncio.Event()
    keys = KeySet(provider.url)
    asking = [asyncio.create_task(keys.find("a")) for _ in range(50)]
    await asyncio.sleep(0)
    provider.hold.set()
    assert all(await asyncio.gather(*asking))
    assert provider.reads == 1


async def test_a_caller_who_goes_away_takes_nobody_along(provider: Provider) -> None:
    provider.keys = [RSA.jwk("a")]
    provider.hold = asyncio.Event()
    clock = Clock()
    keys = KeySet(provider.url, clock=clock)
    first = asyncio.create_task(keys.find("a"))
    while not provider.reads:
        await asyncio.sleep(0)
    second = asyncio.create_task(keys.find("a"))
    first.cancel()
    provider.hold.set()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_key_that_is_taken_out_is_not_good_for_ever(provider: Provider) -> None:
    clock = Clock()
    keys = KeySet(provider.url, clock=clock)
    provider.keys = [RSA.jwk("a")]
    assert await keys.find("a")
    provider.keys = []
    assert await keys.find("a")
    clock.now += LIFE
    assert await keys.find("a") is None


async def test_while_the_address_is_away_known_keys_stay_good(provider: Provider) -> None:
    clock = Clock()
    keys = KeySet(provider.url, clock=clock)
    provider.status = 500
    with pytest.raises(KeysUnavailable):
        await keys.find("a")
    provider.status, provider.keys = 200, [RSA.jwk("a")]
    clock.now += PAUSE
    assert await keys.find("a")
    provider.status = 500
    clock.now += LIFE
    assert await keys.find("a")
    with pytest.raises(KeysUnavailable):
        await keys.find("b")
    assert provider.reads == 3


async def test_nobody_listens() -> None:
    async with providing() as provider:
        url = provider.url
    with pytest.raises(KeysUnavailable):
        await KeySet(url).find("a")


async def test_an_answer_without_end(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "LARGEST", 100)
    provider.keys = [RSA.jwk("a")]
    with pytest.raises(KeysUnavailable):
        await KeySet(provider.url).find("a")


@pytest.mark.parametrize("form", ["{}", "file://{}"])
async def test_keys_in_a_file(tmp_path: Path, form: str) -> None:
    file = tmp_path / "keys.json"
    clock = Clock()
    keys = KeySet(form.format(file), clock=clock)
    with pytest.raises(KeysUnavailable):
        await keys.find("a")
    file.write_bytes(orjson.dumps({"keys": [RSA.jwk("a")]}))
    clock.now += PAUSE
    assert await keys.find("a")


def test_which_keys_are_taken() -> None:
    p256k1 = Pair(ec.generate_private_key(ec.SECP256K1()))
    entries = [
        RSA.jwk("rsa"),
        RSA.jwk("rsa 384", alg="RS384"),
        {name: value for name, value in EC_256.jwk("p256").items() if name != "use"},
        EC_384.jwk("p384"),
        ED.jwk("ed"),
        RSA.jwk("for encryption", use="enc"),
        RSA.jwk("rsa as a secret", alg="HS256"),
        RSA.jwk("no signature", alg="none"),
        EC_256.jwk("on another curve", alg="ES384"),
        p256k1.jwk("on a curve nobody uses"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a secret", "alg": "HS256"},
        {**RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048), as_dict=True), "kid": "private"},
        {"kty": "RSA", "kid": "without number"},
        {"kty": "RSA", "kid": "nonsense", "n": "*", "e": 5},
        {"kty": ["RSA"], "kid": "no kind"},
        {"kid": "nothing"},
        {"kty": "RSA"},
        {**RSA.jwk("x"), "kid": 5},
        "text",
        None,
    ]
    found = jwks.keys(orjson.dumps({"keys": entries}))
    assert {kid: sorted(key.algorithms) for kid, key in found.items()} == {
        "rsa": ["RS256", "RS384", "RS512"],
        "rsa 384": ["RS384"],
        "p256": ["ES256"],
        "p384": ["ES384"],
        "ed": ["EdDSA"],
    }


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": null}', b"null", b"<html>"])
def test_what_is_no_set(document: bytes) -> None:
    with pytest.raises(SetError):
        jwks.keys(document)
