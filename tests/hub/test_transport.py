"""The transport on real sockets: ready frames, a full buffer, a drained one, and closes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hub import frames
from hub.transport import Transport

BLOCK = frames.text(b"x" * 60_000)


@dataclass
class Served:
    """The server's side of one socket."""

    transport: asyncio.Future[Transport]
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Served]]:
    served = Served(asyncio.get_running_loop().create_future())

    async def handler(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(compress=False)
        await response.prepare(request)
        transport = Transport(response, request)
        transport.pipe.drained = served.drained.set
        served.transport.set_result(transport)
        try:
            async for _ in response:
                pass
        finally:
            try:
                await transport.ended()
            finally:
                served.ended.set()
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with aiohttp.ClientSession() as http, http.ws_connect(url) as client:
            yield client, served
    finally:
        await runner.cleanup()


def fill(transport: Transport) -> int:
    """Write until the socket is full; how many blocks that took."""
    blocks = 0
    while transport.writable():
        transport.write(BLOCK)
        blocks += 1
    return blocks


async def test_frames_joined_in_one_write_arrive_as_messages() -> None:
    async with connected() as (client, served):
        transport = await served.transport
        transport.write(frames.text(b"1") + frames.text(b"y" * 70_000) + frames.text(b"3"))
        assert [await client.receive_str() for _ in range(3)] == ["1", "y" * 70_000, "3"]


async def test_a_full_socket_is_not_writable_and_says_when_it_has_drained() -> None:
    async with connected() as (client, served):
        transport = await served.transport
        # The client reads nothing, so its own buffers, the system's and then ours fill up.
        client._conn.protocol.pause_reading()  # type: ignore[union-attr]
        blocks = 0
        for _ in range(200):
            blocks += fill(transport)
            await asyncio.sleep(0)
        assert not transport.writable()
        assert not served.drained.is_set()
        client._conn.protocol.resume_reading()  # type: ignore[union-attr]
        for _ in range(blocks):
            assert len(await client.receive_str()) == 60_000
        await served.drained.wait()
        assert transport.writable()


async def test_close_gives_code_and_reason_once() -> None:
    async with connected() as (client, served):
        transport = await served.transport
        transport.close(3008, "slow")
        transport.close(3005, "connection expired")
        transport.write(frames.text(b"after the close"))
        message = await client.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 3008, "slow")
        await served.ended.wait()


async def test_a_peer_that_is_behind_and_reads_gets_all_before_the_close() -> None:
    async with connected() as (client, served):
        transport = await served.transport
        protocol: Any = client._conn.protocol  # type: ignore[union-attr]
        server = transport.pipe._protocol.transport
        assert server is not None
        # So that little goes out at a time, and much is still to go out when writing may go on.
        server.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        protocol.pause_reading()
        sent = 0
        while transport.writable():
            transport.write(frames.text(b"x" * 1_000))
            sent += 1
            await asyncio.sleep(0)
        transport.close(3008, "slow")
        while server.get_write_buffer_size() > 16_000:
            protocol.resume_reading()
            await asyncio.sleep(0)
            protocol.pause_reading()
        for _ in range(50):
            await asyncio.sleep(0)
        protocol.resume_reading()
        for _ in range(sent):
            assert len(await client.receive_str()) == 1_000
        message = await client.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 3008)
        await served.ended.wait()


async def test_a_stalled_peer_is_cut_off_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.transport.CLOSE_GRACE", 0.05)
    async with connected() as (client, served):
        transport = await served.transport
        client._conn.protocol.pause_reading()  # type: ignore[union-attr]
        for _ in range(200):
            fill(transport)
            await asyncio.sleep(0)
        transport.close(3008, "slow")
        await served.ended.wait()
        assert not transport.writable()
        client._conn.transport.abort()  # type: ignore[union-attr]


async def test_a_lost_connection_ends_the_handler() -> None:
    async with connected() as (client, served):
        transport = await served.transport
        client._conn.transport.abort()  # type: ignore[union-attr]
        await served.ended.wait()
        transport.write(frames.text(b"to nobody"))
        assert not transport.writable()
