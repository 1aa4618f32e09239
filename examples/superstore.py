"""Bring a real retail sample into the hub while following it live: `python examples/superstore.py FILE [--url URL]`.

FILE is the Superstore CSV (order lines). Customers become contacts, orders become won opportunities, all through the
REST API with idempotency keys, so that a repeat after any failure adds nothing. It ends by comparing, one to one, the
rows sent with the audit records, the timeline items and the frames received, and exits 1 unless they agree.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from follow import Account, Follower

CONNECTIONS = 8
PAGE = 100
#: Seconds without any new frame after which the count stands as it is.
PATIENCE = 60.0

Row = dict[str, Any]
#: A record's type and id.
Record = tuple[str, int]


class Refused(Exception):
    """The hub answered that a request is wrong."""


def contacts(lines: Iterable[Mapping[str, str]]) -> dict[str, Row]:
    """One contact per customer, by e-mail."""
    people: dict[str, Row] = {}
    for line in lines:
        email = f"{line['Customer ID'].lower()}@example.com"
        first, _, last = line["Customer Name"].partition(" ")
        people[email] = {
            "first_name": first,
            "last_name": last or first,
            "email": email,
            "contact_type": "customer",
            "source": "superstore",
            "city": line["City"],
            "state": line["State"],
            "postal_code": line["Postal Code"],
            "country": line["Country"],
        }
    return people


def orders(lines: Iterable[Mapping[str, str]]) -> dict[str, Row]:
    """One won opportunity per order, by name; `email` names its contact and is replaced before it is sent."""
    won: dict[str, Row] = {}
    totals: dict[str, Decimal] = {}
    for line in lines:
        name = f"Order {line['Order ID']}"
        totals[name] = totals.get(name, Decimal(0)) + Decimal(line["Sales"])
        won[name] = {
            "name": name,
            "email": f"{line['Customer ID'].lower()}@example.com",
            "stage": "closed_won",
            "probability": 100,
            "expected_close_date": line["Order Date"],
            "actual_close_date": line["Order Date"],
        }
    for name, total in totals.items():
        won[name]["amount"] = str(total.quantize(Decimal("0.01"), ROUND_HALF_EVEN))
    return won


@dataclass(kw_only=True)
class Hub:
    """The REST side, repeated until the hub answers."""

    account: Account
    busy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))

    async def call(self, method: str, path: str, *, key: str = "", **request: Any) -> Any:
        """The answer's JSON. A lost connection or a 503 is repeated with the same idempotency key."""
        while True:
            headers = self.account.headers | ({"Idempotency-Key": key} if key else {})
            try:
                async with (
                    self.busy,
                    self.account.http.request(method, self.account.url + path, headers=headers, **request) as reply,
                ):
                    if reply.status == 401:
                        await self.account.sign_in()
                        continue
                    if reply.status != 503:
                        if not reply.ok:
                            raise Refused(f"{method} {path} was refused: {reply.status} {await reply.text()}")
                        return await reply.json()
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass  # away: the same request again, below
            await asyncio.sleep(0.5)

    async def every(self, path: str, **filters: str) -> AsyncIterator[Row]:
        """All rows of a list, page by page, oldest first."""
        page = 1
        while True:
            query = {**filters, "page": str(page), "page_size": str(PAGE)}
            answer = await self.call("GET", path, params=query)
            for row in answer["results"]:
                yield row
            if not answer["next"]:
                return
            page += 1


@dataclass(kw_only=True)
class Tally:
    """What came back for each record sent, by (type, id)."""

    frames: Counter[Record] = field(default_factory=Counter)
    gaps: int = 0
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, follower: Follower) -> None:
        async for frame in follower.frames():
            if frame is None:
                self.gaps += 1
            elif frame["type"] == "activity_created" and frame["activity"]["action"] == "created":
                activity = frame["activity"]
                self.frames[activity["content_type"], int(activity["object_id"])] += 1
            self.progress.set()

    async def settle(self, sent: set[Record]) -> None:
        """Wait until a frame of every record sent was seen, or nothing new came for PATIENCE, or there was a gap."""
        while not self.gaps and not sent <= self.frames.keys():
            self.progress.clear()
            try:
                await asyncio.wait_for(self.progress.wait(), PATIENCE)
            except TimeoutError:
                return


async def send(hub: Hub, path: str, kind: str, rows: Mapping[str, Row]) -> dict[str, int]:
    """Create every row; answers their ids by name."""
    ids: dict[str, int] = {}

    async def create(name: str, row: Row) -> None:
        answer = await hub.call("POST", path, key=f"superstore-{kind}-{name.replace(' ', '-')}", json=row)
        ids[name] = answer["id"]
        if len(ids) % 1000 == 0 or len(ids) == len(rows):
            print(f"  {kind}: {len(ids)} of {len(rows)} sent", flush=True)

    async with asyncio.TaskGroup() as group:
        for name, row in rows.items():
            group.create_task(create(name, row))
    return ids


async def counted(hub: Hub, path: str, keys: tuple[str, str], **filters: str) -> Counter[Record]:
    """How often each contact and opportunity stands in a history list."""
    found: Counter[Record] = Counter()
    async for row in hub.every(path, **filters):
        found[row[keys[0]], int(row[keys[1]])] += 1
    return found


async def settled(sent: set[Record], count: Callable[[], Awaitable[Counter[Record]]]) -> Counter[Record]:
    """Count until every record sent is there, or until PATIENCE seconds brought nothing new: agents take their time."""
    found = await count()
    waited = 0.0
    while waited < PATIENCE and not sent <= found.keys():
        await asyncio.sleep(1)
        waited, before = waited + 1, len(sent & found.keys())
        found = await count()
        if len(sent & found.keys()) > before:
            waited = 0.0
    return found


def agree(name: str, sent: set[Record], found: Counter[Record]) -> bool:
    """Whether each record sent was found exactly once."""
    missing = sum(1 for record in sent if not found[record])
    doubled = sum(1 for record in sent if found[record] > 1)
    mine = sum(found[record] for record in sent)
    print(f"{name}: {mine}" + (f" ({missing} missing, {doubled} doubled)" if missing or doubled else ""))
    return not missing and not doubled


async def bring(hub: Hub, tally: Tally, file: Path) -> set[Record]:
    """Send what the hub does not have yet; answers the records this run created."""
    with file.open(encoding="utf-8", newline="") as text:
        lines = list(csv.DictReader(text))
    people, won = contacts(lines), orders(lines)
    ids = {row["email"]: row["id"] async for row in hub.every("/api/v1/contacts/", ordering="created_at")}
    known = {row["name"] async for row in hub.every("/api/v1/opportunities/", ordering="created_at")}
    fresh = await send(hub, "/api/v1/contacts/", "contact", {e: p for e, p in people.items() if e not in ids})
    ids |= fresh
    new_orders = {name: order for name, order in won.items() if name not in known}
    for order in new_orders.values():
        order["contact"] = ids[order.pop("email")]
    deals = await send(hub, "/api/v1/opportunities/", "opportunity", new_orders)
    return {("contact", id) for id in fresh.values()} | {("opportunity", id) for id in deals.values()}


async def compare(hub: Hub, tally: Tally, sent: set[Record]) -> bool:
    """Print what came back for the records sent and say whether it agrees one to one."""

    async def history(path: str, keys: tuple[str, str], parameter: str, action: str) -> Counter[Record]:
        found: Counter[Record] = Counter()
        for kind in ("contact", "opportunity"):
            found += await counted(hub, path, keys, **{parameter: kind, "action": action})
        return found

    await tally.settle(sent)
    audit = await settled(
        sent, partial(history, "/api/v1/audit-trail/", ("model_name", "object_id"), "model", "create")
    )
    timeline = await settled(
        sent, partial(history, "/api/v1/timeline/", ("entity_type", "entity_id"), "entity_type", "created")
    )
    print(f"rows sent: {len(sent)}")
    right = [agree("audit records", sent, audit), agree("timeline items", sent, timeline)]
    if tally.gaps:
        print("the log began anew during the run: the frames it lost were read from the timeline instead")
        tally.frames |= Counter({record: 1 for record in sent if timeline[record]})
    right.append(agree("frames received", sent, tally.frames))
    return all(right)


async def main() -> int:
    options = argparse.ArgumentParser(description="Bring the Superstore sample into the hub and compare.")
    options.add_argument("file", type=Path)
    options.add_argument("--url", default="http://127.0.0.1:8000")
    options.add_argument("--user", default="ada")
    options.add_argument("--password", default="switchboard-demo")
    given = options.parse_args()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS + 2)
    async with aiohttp.ClientSession(connector=connector) as http:
        account = Account(http=http, url=given.url, username=given.user, password=given.password)
        await account.sign_in()
        hub, tally = Hub(account=account), Tally()
        follower = Follower(account=account, path="/ws/activity/")
        reading = asyncio.create_task(tally.read(follower))
        await follower.connected.wait()
        sent = await bring(hub, tally, given.file)
        if not sent:
            print("nothing to add: every customer and order is already there")
        right = await compare(hub, tally, sent)
        reading.cancel()
        print("they agree one to one" if right else "they do NOT agree")
        return 0 if right else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except* (OSError, aiohttp.ClientError, Refused) as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise SystemExit(f"superstore: {first}") from None
