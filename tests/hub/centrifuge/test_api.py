"""The server API over HTTP: who may, what a request must look like, and the answers as they are on the wire."""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import structlog

from actors.presence import ClientInfo
from hub import publish
from hub.centrifuge import api
from hub.centrifuge.api_request import ApiError
from hub.centrifuge.codes import Error
from hub.control import CONTROL
from hub.presence import PRESENCE
from settings import Settings
from tests.hub.nodes import Node, node, outside, prepare

#: About the protocol, whatever the broker; what nodes do together is tested on both.
pytestmark = pytest.mark.one_broker

KEY = "the key of the backend"

CONFIGURATION: Mapping[str, Any] = {
    "http_api": {"key": KEY},
    "channel": {
        "without_namespace": {"history_size": 100, "history_ttl": "1h"},
        "namespaces": [
            {"name": "chat", "presence": True, "history_size": 3, "history_ttl": "1h"},
            {"name": "quiet"},
        ],
    },
}


def configured(settings: Settings, folder: Path, **sections: Any) -> Settings:
    """Settings with this configuration file."""
    file = folder / "config.json"
    file.write_text(json.dumps({**CONFIGURATION, **sections}))
    return replace(settings, config=str(file))


class Backend:
    """A backend that has the key."""

    def __init__(self, hub: Node, headers: Mapping[str, str]) -> None:
        self._hub = hub
        self._headers = dict(headers)

    async def send(self, method: str, body: bytes | BytesIO, query: str = "", **headers: str) -> tuple[int, Any]:
        """Status and body of any request."""
        url = f"{self._hub.url}/api/{method}{query}"
        async with self._hub.http.post(url, data=body, headers=self._headers | headers) as reply:
            return reply.status, await reply.json()

    async def __call__(self, method: str, /, **fields: Any) -> Any:
        """The answer to a command, which has status 200."""
        status, answer = await self.send(method, json.dumps(fields).encode())
        assert status == 200, answer
        return answer


@asynccontextmanager
async def backend(settings: Settings, *, new: bool = True) -> AsyncIterator[tuple[Node, Backend]]:
    """A node, and a backend that has its key; on a new log."""
    if new:
        await prepare(settings)
    async with node(settings) as hub:
        yield hub, Backend(hub, {"X-API-Key": KEY})


def error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


async def test_publish_and_history(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (_, ask):
        first = (await ask("publish", channel="news", data={"a": "ä"}))["result"]
        epoch = first["epoch"]
        assert first == {"offset": 1, "epoch": epoch}
        more = {"tags": {"k": "v"}, "idempotency_key": "one", "delta": True, "unknown": 1, "version": None}
        assert await ask("publish", channel="news", data=None, **more) == {"result": {"offset": 2, "epoch": epoch}}
        assert await ask("publish", channel="news", data=None, **more) == {"result": {"offset": 2, "epoch": epoch}}
        assert (await ask("publish", channel="news", data=0, skip_history=True))["result"]["offset"] == 3
        encoded = b64encode(b' {"b": [1, 2]} ').decode()
        assert (await ask("publish", channel="news", data=7, b64data=encoded))["result"]["offset"] == 4
        place = {"offset": 4, "epoch": epoch}
        one, two, four = (
            {"data": {"a": "ä"}, "offset": 1},
            {"data": None, "offset": 2, "tags": {"k": "v"}},
            {"data": {"b": [1, 2]}, "offset": 4},
        )
        for fields, publications in (
            ({}, []),
            ({"limit": -1}, [one, two, four]),
            ({"limit": 2}, [one, two]),
            ({"limit": 2, "reverse": True}, [four, two]),
            ({"limit": -1, "since": {"offset": 1, "epoch": epoch}}, [two, four]),
            ({"limit": -1, "since": {"offset": 4, "epoch": epoch}, "reverse": True}, [two, one]),
            ({"limit": -1, "since": {"offset": 4, "epoch": epoch}}, []),
        ):
            assert await ask("history", channel="news", **fields) == {"result": {"publications": publications} | place}
        for moment, publications in (
            (1, [one, two, four]),
            ("2026-01-01T00:00:00+01:00", [one, two, four]),
            ("9999-01-01T00:00:00Z", []),
        ):
            answer = await ask("history", channel="news", limit=-1, since={"time": moment})
            assert answer == {"result": {"publications": publications} | place}
        lost = await ask("history", channel="news", limit=1, since={"offset": 1, "epoch": "another"})
        assert lost == error(112, "unrecoverable position")
        assert await ask("history", channel="quiet:1", limit=1) == error(108, "not available")


async def test_history_of_a_namespace_is_as_long_as_configured(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (_, ask):
        for n in range(5):
            await ask("publish", channel="chat:1", data=n)
        answer = await ask("history", channel="chat:1", limit=-1)
        assert [one["data"] for one in answer["result"]["publications"]] == [2, 3, 4]
        answer = await ask("history", channel="chat:1", limit=-1, since={"offset": 0, "epoch": ""})
        assert [one["data"] for one in answer["result"]["publications"]] == [0, 1, 2, 3, 4]


async def test_versions(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (_, ask):
        offsets = [
            (await ask("publish", channel="news", data=n, version=version, version_epoch=epoch))["result"]["offset"]
            for n, (version, epoch) in enumerate([(2, "e"), (1, "e"), (2, "e"), (3, "e"), (1, "f"), (0, "f")])
        ]
        assert offsets == [1, 1, 1, 2, 3, 4]


async def test_broadcast_answers_in_order(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (_, ask):
        channels = [*(f"room{n}" for n in range(20)), "lead:7", "unheard:of", "", "activity", "#7"]
        answer = await ask("broadcast", channels=channels, data=1, idempotency_key="k")
        responses = answer["result"]["responses"]
        assert [one["result"]["offset"] for one in (*responses[:20], *responses[23:])] == [1] * 22
        assert responses[20:23] == [
            error(103, "permission denied: only agents write to the channels of records"),
            error(102, "unknown channel"),
            error(107, "bad request: channel is required"),
        ]
        assert await ask("broadcast", channels=channels, data=2, idempotency_key="k") == answer


async def test_what_makes_no_sense_is_an_error(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (_, ask):
        for method, fields, code, why in (
            ("publish", {}, 107, ": data is required"),
            ("publish", {"data": 1}, 107, ": channel is required"),
            ("publish", {"channel": "news"}, 107, ": data is required"),
            ("publish", {"channel": "news", "b64data": "?"}, 107, ": b64data must be JSON in base64"),
            ("publish", {"channel": "news", "b64data": "ü"}, 107, ": b64data must be JSON in base64"),
            ("publish", {"channel": "news", "b64data": "/w=="}, 107, ": b64data must be JSON in base64"),
            ("publish", {"channel": "n" * 256, "data": 1}, 107, None),
            ("publish", {"channel": "neu\u00e4", "data": 1}, 107, None),
            ("publish", {"channel": "news", "data": "x" * 512 * 1024}, 107, None),
            ("publish", {"channel": "news", "data": 1, "idempotency_key": "k" * 256}, 107, None),
            ("publish", {"channel": "news", "data": 1, "tags": {"k": "v" * 16_384}}, 107, None),
            ("broadcast", {"channels": [], "data": 1}, 107, ": channels are required"),
            ("subscribe", {"user": "7"}, 107, ": channel is required"),
            ("subscribe", {"user": "7", "channel": "unheard:of"}, 102, None),
            ("unsubscribe", {"user": "7", "channel": "unheard:of"}, 102, None),
            ("disconnect", {"user": "7", "disconnect": {"code": 2999, "reason": ""}}, 107, None),
            ("disconnect", {"user": "7", "disconnect": {"code": 4000, "reason": "x" * 124}}, 107, None),
            ("history", {}, 107, ": channel is required"),
            ("history", {"channel": "news", "since": {"time": 1}, "reverse": True}, 107, None),
            ("history", {"channel": "news", "since": {"time": "2026-01-01T00:00:00"}}, 107, None),
            ("history", {"channel": "news", "since": {"time": "soon"}}, 107, None),
            ("history", {"channel": "news", "since": {"time": 2**60}}, 107, None),
            ("history", {"channel": "unheard:of"}, 102, None),
            ("history_remove", {"channel": "news"}, 108, ": history is the log, which forgets by itself"),
            ("history_remove", {"channel": ""}, 107, ": channel is required"),
            ("presence", {"channel": "news"}, 108, ""),
            ("presence_stats", {"channel": "unheard:of"}, 102, ""),
            ("rpc", {}, 107, ": method is required"),
            ("rpc", {"method": "nothing"}, 104, ""),
        ):
            answer = (await ask(method, **fields))["error"]
            assert answer["code"] == code, (method, fields, answer)
            if why is not None:
                said = {102: "unknown channel", 104: "method not found", 107: "bad request", 108: "not available"}
                assert answer["message"] == said[code] + why
        assert (await ask("publish", channel="news", data="x" * (512 * 1024 - 2)))["result"]["offset"] == 1


async def test_what_cannot_be_read_is_400_and_does_nothing(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (_, ask):
        for method, body, detail in (
            ("info", b"", None),
            ("info", b"[]", "The request must be an object."),
            ("info", b"{", None),
            ("publish", b'{"channel":7,"data":1}', "channel must be a text."),
            ("publish", b'{"channel":"news","data":1,"tags":{"k":1}}', "tags must hold texts."),
            ("publish", b'{"channel":"news","data":1,"skip_history":"yes"}', "skip_history must be true or false."),
            ("publish", b'{"channel":"news","data":1,"version":-1}', "version must be a whole number from 0."),
            ("publish", b'{"channel":"news","data":1,"version":1.5}', "version must be a whole number from 0."),
            ("broadcast", b'{"channels":"news","data":1}', "channels must be a list of texts."),
            ("history", b'{"channel":"news","since":7}', "since must be an object."),
            ("history", b'{"channel":"news","since":{"offset":"7"}}', "since.offset must be a whole number from 0."),
            ("batch", b'{"commands":{}}', "commands must be a list of objects."),
            (
                "batch",
                b'{"commands":[{"publish":{"channel":"news","data":1}},{"publish":{"channel":7,"data":1}}]}',
                "commands[1].publish.channel must be a text.",
            ),
        ):
            status, answer = await ask.send(method, body)
            assert (status, list(answer)) == (400, ["detail"]), (method, body, answer)
            assert detail is None or answer["detail"] == detail
        assert (await ask("history", channel="news"))["result"]["offset"] == 0
        assert (await ask.send("nothing", b"{}"))[0] == 404
        assert (await ask.send("publish", BytesIO(b"x" * (1024 * 1024 + 1))))[0] == 413


async def test_errors_as_statuses_if_the_client_or_the_configuration_wants_them(here: Settings, tmp_path: Path) -> None:
    cases = {102: (404, {"channel": "unheard:of"}), 107: (400, {}), 108: (400, {"channel": "quiet:1"})}
    async with backend(configured(here, tmp_path)) as (_, ask):
        for code, (status, fields) in cases.items():
            body = json.dumps(fields).encode()
            found, answer = await ask.send("history", body, **{"X-Centrifugo-Error-Mode": "transport"})
            assert (found, answer["code"], list(answer)) == (status, code, ["code", "message"])
            assert (await ask("history", **fields))["error"]["code"] == code
        wrong = b'{"channel":"news","since":{"epoch":"x"}}'
        assert (await ask.send("history", wrong, **{"X-Centrifugo-Error-Mode": "transport"}))[0] == 416
    async with backend(configured(here, tmp_path, http_api={"key": KEY, "error_mode": "transport"}), new=False) as (
        _,
        ask,
    ):
        assert (await ask.send("history", b"{}"))[0] == 400
        assert (await ask.send("batch", b'{"commands":[{"history":{}}]}'))[0] == 200


async def test_only_the_key_opens(here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(key: bytes, sent: bytes) -> bool:
        compared.append((key, sent))
        return hmac.compare_digest(key, sent)

    monkeypatch.setattr(api, "hmac", type("Watched", (), {"compare_digest": staticmethod(compare)}))
    async with backend(configured(here, tmp_path)) as (hub, _):
        nobody = Backend(hub, {})
        key = KEY.replace(" ", "%20")
        for status, query, headers in (
            (200, "", {"X-API-Key": KEY}),
            (200, "/", {"X-API-Key": KEY}),
            (200, "", {"Authorization": f"apikey {KEY}"}),
            (200, "", {"Authorization": f"ApiKey {KEY}"}),
            (200, f"?api_key={key}", {}),
            (200, f"?api_key={key}", {"Authorization": "Bearer x"}),
            (401, "", {}),
            (401, "", {"X-API-Key": KEY[:-1]}),
            (401, "", {"X-API-Key": "\u00fc"}),
            (401, "", {"Authorization": f"Bearer {KEY}"}),
            (401, "", {"Authorization": f"Bearer {hub.token(1)}"}),
            (401, "?api_key=", {}),
            (401, "?api_key=%ff", {}),
            (401, f"?api_key={key}", {"X-API-Key": "wrong"}),
        ):
            found, answer = await nobody.send("info", b"{}", query, **headers)
            assert found == status, (query, headers, answer)
            if status == 401:
                assert answer == {"detail": "The API key is missing or wrong."}
        assert len(compared) == 14
        assert {key for key, _ in compared} == {KEY.encode()}


async def test_no_key_opens_nothing_unless_it_is_insecure(here: Settings, tmp_path: Path) -> None:
    await prepare(here)
    for options, status in (({}, 401), ({"insecure": True}, 200), ({"disabled": True, "key": KEY}, 404)):
        async with backend(configured(here, tmp_path, http_api=options), new=False) as (hub, ask):
            assert (await Backend(hub, {}).send("info", b"{}"))[0] == status
            if "disabled" in options:
                assert (await ask.send("info", b"{}"))[0] == 404


async def test_the_key_is_in_no_log_line(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (hub, _):
        with structlog.testing.capture_logs() as lines:
            assert (await Backend(hub, {}).send("info", b"{}", "?api_key=some-secret"))[0] == 401
        answered = [line for line in lines if line["event"] == "request_answered"]
        assert [line["path"] for line in answered] == ["/api/info"]
        assert "some-secret" not in repr(lines)


async def test_a_batch_answers_each_command(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (_, ask):
        commands = [
            {"publish": {"channel": "news", "data": 1}},
            {"publish": {"channel": "unheard:of", "data": 1}},
            {"history": {"channel": "news", "limit": -1}},
            {"nothing": {}},
            {"batch": {"commands": []}},
        ]
        answer = await ask("batch", commands=commands)
        epoch = answer["replies"][0]["publish"]["epoch"]
        assert answer == {
            "replies": [
                {"publish": {"offset": 1, "epoch": epoch}},
                error(102, "unknown channel"),
                {"history": {"publications": [{"data": 1, "offset": 1}], "epoch": epoch, "offset": 1}},
                error(104, "method not found"),
                error(104, "method not found"),
            ]
        }
        rooms = [{"publish": {"channel": f"room{n}", "data": n}} for n in range(300)]
        replies = (await ask("batch", commands=rooms, parallel=True))["replies"]
        assert [reply["publish"]["offset"] for reply in replies] == [1] * 300


async def test_orders_reach_every_node(here: Settings, tmp_path: Path) -> None:
    settings = configured(here, tmp_path)
    async with backend(settings) as (hub, ask), node(settings) as other:
        heard: dict[Node, list[Any]] = {hub: [], other: []}
        done = asyncio.Event()

        def listen(one: Node, name: str) -> None:
            async def take(content: Mapping[str, Any]) -> None:
                heard[one].append((name, dict(content)))
                if [len(said) for said in heard.values()] == [6, 6]:
                    done.set()

            one.app[CONTROL].on(name, take)

        for one in heard:
            for name in ("subscribe", "unsubscribe", "disconnect", "refresh"):
                listen(one, name)
        for method, fields in (
            ("subscribe", {"user": "7", "channel": "news"}),
            (
                "subscribe",
                {
                    "user": "7",
                    "channel": "chat:1",
                    "client": "c",
                    "session": "s",
                    "expire_at": 9,
                    "info": {"a": 1},
                    "b64data": b64encode(b"[2]").decode(),
                    "recover_since": {"offset": 3, "epoch": "e"},
                    "override": {"presence": {"value": False}, "join_leave": None, "force_recovery": {"value": True}},
                },
            ),
            ("unsubscribe", {"user": "7"}),
            ("disconnect", {"user": ""}),
            ("disconnect", {"user": "7", "whitelist": ["c"], "disconnect": {"code": 4000, "reason": "bye"}}),
            ("refresh", {"user": "7", "expired": True, "expire_at": 0, "info": 0}),
        ):
            assert await ask(method, **fields) == {"result": {}}
        async with asyncio.timeout(10):
            await done.wait()
        assert heard[hub] == heard[other]
        assert heard[hub] == [
            ("subscribe", {"user": "7", "channel": "news"}),
            (
                "subscribe",
                {
                    "user": "7",
                    "client": "c",
                    "session": "s",
                    "channel": "chat:1",
                    "expire_at": 9,
                    "info": {"a": 1},
                    "data": [2],
                    "recover_since": {"offset": 3, "epoch": "e"},
                    "override": {"presence": {"value": False}, "force_recovery": {"value": True}},
                },
            ),
            ("unsubscribe", {"user": "7"}),
            ("disconnect", {"user": "", "disconnect": {"code": 3503, "reason": "force disconnect"}}),
            ("disconnect", {"user": "7", "whitelist": ["c"], "disconnect": {"code": 4000, "reason": "bye"}}),
            ("refresh", {"user": "7", "expired": True, "info": 0}),
        ]


async def test_presence_nodes_and_channels(here: Settings, tmp_path: Path) -> None:
    settings = configured(here, tmp_path)
    async with backend(settings) as (hub, ask), node(settings) as other:
        for one, counts in ((hub, {"news": 2, "chat:1": 1}), (other, {"news": 3})):

            async def of(content: Mapping[str, Any], counts: dict[str, int] = counts) -> dict[str, int]:
                return counts if content == {"pattern": "*"} else {}

            one.app[CONTROL].on("channels", of)
            await one.app[CONTROL].settled()
        info = ClientInfo(user="7", client="c", conn_info=b'{"a":1}', chan_info=b"\xff")
        hub.app[PRESENCE].enter("chat:1", info)
        assert await ask("presence", channel="chat:1") == {
            "result": {"presence": {"c": {"user": "7", "client": "c", "conn_info": {"a": 1}}}}
        }
        assert await ask("presence", channel="chat:2") == {"result": {"presence": {}}}
        assert await ask("presence_stats", channel="chat:1") == {"result": {"num_clients": 1, "num_users": 1}}
        found = {"news": {"num_clients": 5}, "chat:1": {"num_clients": 1}}
        assert await ask("channels", pattern="*") == {"result": {"channels": found}}
        assert await ask("channels") == {"result": {"channels": {}}}
        nodes = (await ask("info"))["result"]["nodes"]
        assert {one["uid"] for one in nodes} == {hub.app[CONTROL].node, other.app[CONTROL].node}
        for one in nodes:
            assert one["uptime"] >= 0
            assert set(one) == {
                *("uid", "name", "version", "num_clients", "num_users", "num_subs", "num_channels"),
                *("uptime", "process"),
            }


async def test_rpc_calls_what_the_hub_offers(here: Settings, tmp_path: Path) -> None:
    async def double(params: Any) -> Any:
        if params is None:
            raise ApiError(Error(400, "nothing to double"))
        return {"twice": params["n"] * 2}

    async with backend(configured(here, tmp_path)) as (hub, ask):
        hub.app[api.API].rpc["double"] = double
        assert await ask("rpc", method="double", params={"n": 4}) == {"result": {"data": {"twice": 8}}}
        assert await ask("rpc", method="double") == error(400, "nothing to double")


async def test_without_an_acknowledgement_the_outcome_is_unknown(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "ACK_PATIENCE", 0.0)
    async with backend(configured(here, tmp_path)) as (_, ask), outside(here):
        answer = await ask("publish", channel="news", data=1)
        assert answer == error(100, "outcome unknown: try again, with the same idempotency_key")
