"""Sign in, follow both sockets, print what arrives: `python examples/follow.py [--url URL] [--user NAME]`.

A Follower keeps its place as (epoch, offset). When the connection is lost it comes back with that place and is sent
everything it missed, once and in order; when the log can no longer reach back so far it is told so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

#: Seconds between attempts to come back.
RETRY = 0.5


@dataclass(kw_only=True)
class Account:
    """A signed-in user: base URL, name, password and the newest access token."""

    http: aiohttp.ClientSession
    url: str
    username: str
    password: str
    access: str = ""

    async def sign_in(self) -> None:
        """Fetch an access token. Raises aiohttp.ClientResponseError when the hub refuses."""
        body = {"username": self.username, "password": self.password}
        async with self.http.post(f"{self.url}/api/auth/login/", json=body) as reply:
            reply.raise_for_status()
            self.access = (await reply.json())["access"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}


@dataclass(kw_only=True)
class Follower:
    """One socket that survives its connections. `frames` yields each frame once; None stands for a gap."""

    account: Account
    path: str
    epoch: str = ""
    offset: int = 0
    #: Set while the socket is open and its greeting was read.
    connected: asyncio.Event = field(default_factory=asyncio.Event)

    async def frames(self) -> AsyncIterator[dict[str, Any] | None]:
        """Frames in order, for ever; None after a connection that could not resume where the last one ended."""
        while True:
            try:
                async for frame in self._connection():
                    yield frame
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass  # the hub is away: come back below, with the place we hold
            self.connected.clear()
            await asyncio.sleep(RETRY)

    async def _connection(self) -> AsyncIterator[dict[str, Any] | None]:
        await self.account.sign_in()
        place = {"since": str(self.offset), "epoch": self.epoch} if self.epoch else {}
        url = self.account.url + self.path
        async with self.account.http.ws_connect(url, params=place, headers=self.account.headers) as socket:
            greeting = await socket.receive_json()
            if not greeting["recovered"]:
                if self.epoch:
                    yield None
                self.epoch, self.offset = greeting["epoch"], greeting["offset"]
            self.connected.set()
            async for message in socket:
                frame: dict[str, Any] = json.loads(message.data)
                if frame["type"] == "position":
                    # The channel was just made, or what came since was not for us to see.
                    self.epoch, self.offset = frame["epoch"], frame["offset"]
                    continue
                if "offset" in frame:
                    self.offset = frame["offset"]
                yield frame


async def follow(account: Account, path: str) -> None:
    async for frame in Follower(account=account, path=path).frames():
        print(f"{path} {'(some frames are out of reach)' if frame is None else json.dumps(frame)}", flush=True)


async def main() -> None:
    options = argparse.ArgumentParser(description="Follow both sockets of a hub and print what arrives.")
    options.add_argument("--url", default="http://127.0.0.1:8000")
    options.add_argument("--user", default="ada")
    options.add_argument("--password", default="switchboard-demo")
    given = options.parse_args()
    async with aiohttp.ClientSession() as http:
        account = Account(http=http, url=given.url, username=given.user, password=given.password)
        await account.sign_in()
        await asyncio.gather(follow(account, "/ws/notifications/"), follow(account, "/ws/activity/"))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    except aiohttp.ClientError as error:
        raise SystemExit(f"follow: the hub did not answer as expected: {error}") from None
