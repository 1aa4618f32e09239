"""Who may not: refused with its code, on every transport, and told nothing of what those hear who may."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from hub import tokens
from hub.centrifuge import lifetime
from models import database
from settings import Settings
from tests.hub.centrifuge.clients import CONFIGURATION, KEY, configured, raw
from tests.hub.centrifuge.intruder import DIALECTS, Intruder, Witness, encoded, intruding
from tests.hub.centrifuge.signing import OTHER_RSA, RSA, signed
from tests.hub.centrifuge.test_streams import STREAMS
from tests.hub.centrifuge.test_verifier import tampered
from tests.hub.nodes import Node, outside, prepare

#: About the protocol, whatever the broker.
pytestmark = pytest.mark.one_broker

SECTIONS: dict[str, Any] = {
    **STREAMS,
    "http_api": {"key": "the key of the backend"},
    "channel": {
        "namespaces": [
            *(one for one in CONFIGURATION["channel"]["namespaces"] if one["name"] != "room"),
            {"name": "room", "allow_user_limited_channels": True, "history_size": 5, "history_ttl": "1m"},
            {"name": "wall", "allow_publish_for_subscriber": True, "presence": True},
        ]
    },
}
KEYS = {"token": {"hmac_secret_key": KEY, "rsa_public_key": RSA.public_pem}, "channel_limit": 128}


def token(user: str = "u1", *, key: Any = KEY, algorithm: str | None = "HS256", **claims: Any) -> str:
    return signed(key, algorithm, sub=user, **claims)


def confused(**claims: Any) -> str:
    """A token signed with a public key as if it were a secret."""
    header, payload, _ = token(**claims).split(".")
    digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = digest.sign(f"{header}.{payload}".encode(), RSA.public_pem.encode())
    return f"{header}.{payload}.{jwt.utils.base64url_encode(signature).decode()}"


def forgeries(**claims: Any) -> dict[str, str]:
    """Tokens of which none is good."""
    return {
        "header": tampered(token(**claims), 0),
        "payload": tampered(token(**claims), 1),
        "signature": tampered(token(**claims), 2),
        "no signature": token(**claims).rpartition(".")[0] + ".",
        "alg none": token(key=None, algorithm="none", **claims),
        "alg confusion": confused(**claims),
        "another secret": token(key="another secret, as long as it needs to be", **claims),
        "another key": token(key=OTHER_RSA, algorithm="RS256", **claims),
        "not a token": "a.b.c",
    }


#: Good tokens, but not now.
UNTIMELY: list[dict[str, Any]] = [{"exp": 1}, {"nbf": int(time.time()) + 3600}]


@dataclass(frozen=True)
class Trespass:
    """Something a client that is let in as `user` may not do."""

    command: dict[str, Any]
    fate: tuple[str, int]
    #: What it is after: those who may listen to this hear a publication that it must not hear.
    channel: str = "chat:1"
    user: str = "u1"


@dataclass(frozen=True)
class People:
    """Ids of users of the CRM; the lead is the admin's."""

    admin: int
    rep: int
    lead: int


def subscribing(name: str, fate: tuple[str, int], token: str = "", **more: Any) -> Trespass:
    request = {"channel": name, "token": token} if token else {"channel": name}
    return Trespass({"subscribe": request}, fate, **({"channel": name} | more))


def trespasses(people: People) -> list[Trespass]:
    denied, closed = ("error", 103), ("close", 3500)
    rep, lead, personal = str(people.rep), f"lead:{people.lead}", f"#{people.admin}"
    reserved = ({name: {"channel": "wall:1", **more}} for name, more in (("publish", {"data": 1}), ("presence", {})))
    return [
        # Channels of others.
        subscribing("own:#u2", denied),
        subscribing(personal, denied),
        subscribing(personal, denied, user=rep),
        subscribing("room:1#u2,u3", denied),
        subscribing("$chat:1", denied),
        subscribing("closed:1", denied),
        # Names that are none.
        subscribing("nowhere:1", ("error", 102), channel="chat:1"),
        subscribing("chat:" + "x" * 251, ("error", 107), channel="chat:1"),
        subscribing("chat:\u00e9", ("error", 107), channel="chat:1"),
        subscribing("", ("error", 107), channel="chat:1"),
        # The CRM: a record one may not read, and a user the CRM does not know.
        subscribing(lead, denied, user=rep),
        subscribing(f"timeline:{lead}", denied, user=rep),
        subscribing(lead, denied, token(rep, channel=lead), user=rep),
        *(subscribing(channel, denied) for channel in (lead, "activity")),
        *(subscribing(channel, denied, user="999999") for channel in (lead, "activity")),
        Trespass({"history": {"channel": lead, "limit": 9}}, denied, lead, rep),
        Trespass({"publish": {"channel": lead, "data": 1}}, denied, lead, rep),
        # Tokens of others, for something else, forged, or at another time.
        subscribing("$chat:1", closed, token("u2", channel="$chat:1")),
        subscribing("$chat:1", closed, token("u1", channel="$chat:2")),
        subscribing("$chat:1", closed, token("u1", channel="$chat:1", client="another connection")),
        subscribing("$chat:1", denied, token("u1")),
        *(subscribing("$chat:1", denied, one) for one in forgeries(channel="$chat:1").values()),
        *(subscribing("$chat:1", ("error", 109), token(channel="$chat:1", **times)) for times in UNTIMELY),
        Trespass({"refresh": {"token": token("u2")}}, closed),
        *(Trespass({"refresh": {"token": one}}, closed) for one in forgeries().values()),
        # What one does not listen to.
        *(Trespass(command, denied, "wall:1") for command in reserved),
        Trespass({"history": {"channel": "room:1#u2,u3", "limit": 9}}, denied, "room:1#u2,u3"),
        Trespass({"connect": {"token": token("u2")}}, ("close", 3501)),
    ]


@asynccontextmanager
async def guarded(settings: Settings, tmp_path: Path, **client: Any) -> AsyncIterator[tuple[Node, People]]:
    """A node with all transports, and a lead that the sales representative may not see."""
    users = await prepare(settings)
    async with database.pool(settings.database_url, size=1) as pool:
        lead = await pool.fetchval(
            """INSERT INTO crm_leads (first_name, last_name, email, assigned_to_id)
               VALUES ('Ida', 'Holt', 'ida@example.com', $1) RETURNING id""",
            users["admin"],
        )
    async with configured(settings, tmp_path, sections=SECTIONS, **(KEYS | client)) as hub:
        yield hub, People(users["admin"], users["sales_rep"], lead)


@asynccontextmanager
async def witnessed(hub: Node, people: People, settings: Settings) -> AsyncIterator[Callable[[str], Any]]:
    """Publishes something on a channel, and returns when those who may have heard it, and nothing else, once."""
    channels = {
        hub.token(people.admin): [
            f"#{people.admin}",
            "activity",
            f"lead:{people.lead}",
            f"timeline:lead:{people.lead}",
        ],
        token("u2"): ["room:1#u2,u3", "$chat:1", "chat:1", "wall:1", "closed:1"],
    }
    async with outside(settings) as log, raw(hub) as admin, raw(hub) as other:
        hearing = {"own:#u2": Witness(other)}
        for client, (login, names) in zip((admin, other), channels.items(), strict=True):
            await client.connected(login)
            for id, name in enumerate(names, 2):
                by = token("u2", channel=name) if name in ("$chat:1", "wall:1", "closed:1") else ""
                assert "subscribe" in await client.ask(id, subscribe={"channel": name, "token": by})
                hearing[name] = Witness(client)
        said = 0

        async def say(channel: str) -> None:
            nonlocal said
            said += 1
            await log.frames(channel, [{"n": said}])
            assert await hearing[channel].hears() == (channel, {"n": said})

        yield say


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_nobody_gets_at_what_is_not_theirs(settings: Settings, tmp_path: Path, dialect: str) -> None:
    async with guarded(settings, tmp_path) as (hub, people), witnessed(hub, people, settings) as say:
        for trespass in trespasses(people):
            login = {"id": 1, "connect": {"token": token(trespass.user)}}
            async with intruding(hub, dialect, login) as intruder:
                assert "connect" in await intruder.answer(1)
                assert await intruder.fate(trespass.command, 2) == trespass.fate, trespass
                await say(trespass.channel)
                assert await intruder.overhears(3) == [], trespass


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_nobody_is_let_in_by_a_token_that_is_not_good(
    settings: Settings, tmp_path: Path, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifetime, "REFUSED_GRACE", 0.05)
    async with guarded(settings, tmp_path) as (hub, people), witnessed(hub, people, settings) as say:
        async with database.pool(settings.database_url, size=1) as pool:
            await pool.execute("UPDATE crm_users SET is_active = false WHERE id = $1", people.rep)
        access = hub.token(people.admin)
        refresh = tokens.sign(hub.secret, tokens.claim(tokens.Kind.REFRESH, people.admin, 5))
        for login, fate in [
            *((one, ("close", 3500)) for one in forgeries(channels=["$chat:1"]).values()),
            *((token(channels=["$chat:1"], **times), ("error", 109)) for times in UNTIMELY),
            *((one, ("close", 3500)) for one in (tampered(access, 1), tampered(access, 2), refresh)),
            (token(channel="$chat:1"), ("close", 3500)),
            (hub.token(people.rep), ("close", 3500)),
            (hub.token(999_999), ("close", 3500)),
            (hub.token(people.admin, minutes=-1), ("error", 109)),
            ("", ("error", 101)),
            # Good ones, that bring what their user may not have.
            (token(str(people.rep), channels=["activity"]), ("error", 103)),
            (token("u1", subs={f"lead:{people.lead}": {}}), ("error", 103)),
            (token(channels=[f"$chat:{n}" for n in range(129)]), ("close", 3505)),
        ]:
            # All in one frame: what follows a connect command that fails is not done.
            wanted = {"id": 2, "subscribe": {"channel": "chat:1"}}
            said = {"id": 3, "publish": {"channel": "chat:1", "data": "of nobody"}}
            async with intruding(hub, dialect, {"id": 1, "connect": {"token": login}}, wanted, said) as intruder:
                assert await answered(intruder) == fate, login
                for channel in ("$chat:1", "chat:1"):
                    await say(channel)
                assert intruder.pushes == []
                if fate[0] == "error":
                    with pytest.raises(EOFError, match="3000"):
                        await intruder.line.hear()


async def answered(intruder: Intruder) -> tuple[str, int]:
    """The fate of a connect command."""
    try:
        return "error", (await intruder.answer(1))["error"]["code"]
    except EOFError as ended:
        return "close", ended.args[0]


async def test_tokens_are_for_this_hub_and_from_whom_it_trusts(settings: Settings, tmp_path: Path) -> None:
    keys = {**KEYS["token"], "audience": "hub", "issuer": "backend"}  # type: ignore[dict-item]
    good = {"aud": "hub", "iss": "backend"}
    async with guarded(settings, tmp_path, token=keys) as (hub, _):
        for claims in ({}, {"aud": "hub"}, {"iss": "backend"}, good | {"aud": "shop"}, good | {"iss": "somebody"}):
            for dialect in ("json", "protobuf"):
                async with intruding(hub, dialect, {"id": 1, "connect": {"token": token(**claims)}}) as intruder:
                    assert await answered(intruder) == ("close", 3500), claims
            async with intruding(hub, "json", {"id": 1, "connect": {"token": token(**good)}}) as intruder:
                assert "connect" in await intruder.answer(1)
                wanted = {"channel": "$chat:1", "token": token(channel="$chat:1", **claims)}
                assert await intruder.fate({"subscribe": wanted}, 2) == ("error", 103), claims


#: What no client of the protocol says, as text and as bytes.
NONSENSE: list[str | bytes] = [
    "garbage",
    "",
    "\n",
    "null",
    "[]",
    '"connect"',
    "[" * 30_000,
    '{"id":1,"connect":{"data":' + "[" * 20_000 + "]" * 20_000 + "}}",
    '{"id":1,"connect":{"token":7}}',
    '{"id":-1,"connect":{}}',
    '{"id":4294967296,"connect":{}}',
    '{"connect":{}}',
    '{"id":1}\n\n{"id":2}',
    "{}",
    '{"id":1,"connect":{"token":"\\ud800"}}',
    b"\xff\xfe",
    b'{"id":1,"connect":{"token":"\xff"}}',
]


async def test_what_is_not_the_protocol_ends_the_connection(settings: Settings, tmp_path: Path) -> None:
    async with guarded(settings, tmp_path) as (hub, people), witnessed(hub, people, settings) as say:
        for nonsense in NONSENSE:
            async with raw(hub) as client:
                if isinstance(nonsense, str):
                    await client.socket.send_str(nonsense)
                else:
                    await client.socket.send_bytes(nonsense)
                assert await client.closed() == 3501, nonsense
        early: list[dict[str, Any]] = [
            {"id": 1, "subscribe": {"channel": "chat:1"}},
            {"id": 1, "publish": {"channel": "chat:1", "data": "early"}},
            {"id": 1, "history": {"channel": "chat:1"}},
            {"id": 1, "rpc": {"method": "timeline"}},
            {"id": 1, "refresh": {"token": token()}},
            {"id": 1, "ping": {}},
            {"send": {"data": 1}},
        ]
        for dialect in DIALECTS:
            for command in early:
                async with intruding(hub, dialect, command, {"id": 2, "connect": {"token": token()}}) as intruder:
                    with pytest.raises(EOFError, match="3501"):
                        await intruder.answer(2)
        await say("chat:1")  # and "early" was not


async def test_bytes_that_are_no_protobuf_end_the_connection(settings: Settings, tmp_path: Path) -> None:
    login = encoded({"id": 1, "connect": {"token": token()}})
    async with guarded(settings, tmp_path) as (hub, _):
        for frame in (b"", b"\xff", b"\x00\x00", login[:-1], login + b"\x05", b"\x80" * 20, b"\x02\x0b\x0b" * 9_000):
            async with intruding(hub, "protobuf") as intruder:
                await intruder.line.socket.send_bytes(frame)  # type: ignore[attr-defined]
                with pytest.raises(EOFError, match="3501"):
                    await intruder.answer(9)
        async with intruding(hub, "protobuf") as intruder:
            await intruder.line.socket.send_str("{}")  # type: ignore[attr-defined]
            with pytest.raises(EOFError, match="3501"):
                await intruder.answer(9)


async def test_frames_and_bodies_have_a_limit(settings: Settings, tmp_path: Path) -> None:
    async with guarded(settings, tmp_path) as (hub, people), witnessed(hub, people, settings) as say:
        login, large = {"id": 1, "connect": {"token": token()}}, "x" * 65_536
        publish = {"id": 3, "publish": {"channel": "chat:1", "data": large}}
        for dialect in ("json", "protobuf"):
            async with intruding(hub, dialect, login, {"id": 2, "subscribe": {"channel": "chat:1"}}) as intruder:
                await intruder.answer(2)
                assert await intruder.fate({"publish": publish["publish"]}, 3) == ("close", 1009)
        async with raw(hub) as pieces:  # of which each is small enough
            await pieces.connected(token())
            for kind in (aiohttp.WSMsgType.TEXT, *(aiohttp.WSMsgType.CONTINUATION,) * 4):
                head = bytes([kind, 0x80 | 126, *(16_000).to_bytes(2), 0, 0, 0, 0])  # not the last, masked with zeros
                pieces.socket._writer.transport.write(head + b"x" * 16_000)
            assert await pieces.closed() == 1009
        for dialect in ("sse", "http_stream"):
            async with hub.http.post(f"{hub.url}/connection/{dialect}", data=b"x" * 65_537) as reply:
                assert reply.status == 413
            async with intruding(hub, dialect, login, {"id": 2, "subscribe": {"channel": "chat:1"}}) as intruder:
                await intruder.answer(2)
                beside = intruder.line._stream  # type: ignore[attr-defined]
                assert await beside.say(publish) == 413
                assert await intruder.fate({"ping": {}}, 4) == ("done", 0)
                assert intruder.pushes == []
        await say("chat:1")


async def test_a_client_has_only_so_many_channels(settings: Settings, tmp_path: Path) -> None:
    async with guarded(settings, tmp_path) as (hub, people), witnessed(hub, people, settings) as say:
        async with intruding(hub, "json", {"id": 1, "connect": {"token": token()}}) as intruder:
            (own,) = (await intruder.answer(1))["connect"]["subs"]
            assert own == "own:#u1"
            await intruder.line.say(*({"id": n, "subscribe": {"channel": f"chat:x{n}"}} for n in range(2, 129)))
            for n in range(2, 129):
                assert "subscribe" in await intruder.answer(n)
            assert await intruder.fate({"subscribe": {"channel": "chat:1"}}, 200) == ("error", 106)
            await say("chat:1")
            assert await intruder.overhears(201) == []


@pytest.mark.parametrize("path", ["websocket", "sse", "http_stream"])
async def test_pages_of_other_origins_are_not_let_in(settings: Settings, tmp_path: Path, path: str) -> None:
    async with guarded(settings, tmp_path) as (hub, _):
        for origin in (
            "https://evil.example.com",
            "http://app.example.com",
            "https://app.example.com.evil.net",
            "https://app.example.com:8443",
            "null",
        ):
            headers = {"Origin": origin}
            if path == "websocket":
                with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                    async with raw(hub, headers=headers):
                        pass
                continue
            for method in ("POST", "OPTIONS"):
                async with hub.http.request(
                    method, f"{hub.url}/connection/{path}", headers=headers, data=b"{}"
                ) as reply:
                    assert (reply.status, "Access-Control-Allow-Origin" in reply.headers) == (403, False), origin
        if path != "websocket":
            async with hub.http.post(f"{hub.url}/emulation", headers={"Origin": "null"}, data=b"{}") as reply:
                assert reply.status == 403


async def test_the_server_api_is_for_those_who_have_its_key(settings: Settings, tmp_path: Path) -> None:
    body = {"channel": "chat:1", "data": "of a stranger"}
    async with guarded(settings, tmp_path) as (hub, people), witnessed(hub, people, settings) as say:
        for headers in (
            {},
            {"X-API-Key": "wrong"},
            {"Authorization": "apikey wrong"},
            hub.signed(people.admin),
            {"X-API-Key": KEY},
        ):
            for method in ("publish", "broadcast", "batch", "disconnect", "unsubscribe", "presence", "info"):
                async with hub.http.post(f"{hub.url}/api/{method}", json=body, headers=headers) as reply:
                    assert reply.status == 401, (method, headers)
        await say("chat:1")
