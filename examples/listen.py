"""Listen with an official Centrifuge client: `python examples/listen.py [--url URL] [--user NAME] [CHANNEL ...]`.

The client keeps its place by itself: stop the hub and start it again, and what happened meanwhile is printed, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import aiohttp
from centrifuge import (
    Client,
    ClientEventHandler,
    ConnectedContext,
    PublicationContext,
    SubscribedContext,
    SubscriptionErrorContext,
    SubscriptionEventHandler,
)
from follow import Account


class Connection(ClientEventHandler):
    async def on_connected(self, context: ConnectedContext) -> None:
        print(f"connected as {context.client}")


class Listener(SubscriptionEventHandler):
    """Prints what one channel says."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    async def on_subscribed(self, context: SubscribedContext) -> None:
        print(f"{self._channel}: subscribed, {'nothing missed' if context.recovered else 'from now on'}")

    async def on_error(self, context: SubscriptionErrorContext) -> None:
        print(f"{self._channel}: {context.error}")

    async def on_publication(self, context: PublicationContext) -> None:
        print(f"{self._channel} {context.pub.offset}: {json.dumps(context.pub.data)}")


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", default="http://127.0.0.1:8000")
    options.add_argument("--user", default="ada")
    options.add_argument("--password", default="switchboard-demo")
    options.add_argument("channels", nargs="*", default=["activity"])
    given = options.parse_args()
    async with aiohttp.ClientSession() as http:
        account = Account(http=http, url=given.url, username=given.user, password=given.password)
        await account.sign_in()

        async def fresh(*_: object) -> str:
            await account.sign_in()
            return account.access

        address = given.url.replace("http", "ws", 1) + "/connection/websocket"
        client = Client(address, events=Connection(), token=account.access, get_token=fresh)
        for channel in given.channels:
            await client.new_subscription(channel, events=Listener(channel)).subscribe()
        await client.connect()
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
