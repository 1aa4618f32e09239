"""Mails that stand in the database are sent, by whoever lives, to whoever takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from engines.mailbox import mailbox
from models import database as databases
from models.mails import Letter, post
from settings import Settings
from streams import mail
from streams.mail import Smtp

HELLO = Letter(recipient="ann@example.com", subject="Grüße", body=f"A link:\n\n    http://x/#reset/1/{'abc' * 40}\n")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with databases.pool(database, size=5) as opened, databases.orm(database, size=2):
        yield opened


def smtp_at(address: str) -> Smtp:
    found = Smtp.of(Settings(smtp=address, mail_from="Switchboard <crm@example.com>"))
    assert found is not None
    return found


def kept(folder: Path) -> list[Any]:
    files = (folder / "new").iterdir()
    return [message_from_string(file.read_text(), policy=policy.default) for file in files]


async def row(pool: asyncpg.Pool) -> Any:
    return await pool.fetchrow("SELECT *, due_at - now() AS wait FROM mails")


class Picky:
    """A server that refuses some recipients, for ever or for now."""

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("never"):
            return "550 no such mailbox"
        if address.startswith("later"):
            return "451 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return "250 OK"


@asynccontextmanager
async def picky() -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Picky(), loop=loop), "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_mail_is_sent_and_its_text_forgotten(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await post([HELLO], seconds=3600)
    async with mailbox(tmp_path / "mail") as address:
        assert await mail.send_due(pool, smtp_at(address)) == 1
        assert await mail.send_due(pool, smtp_at(address)) == 0
    sent = await row(pool)
    assert (sent["status"], sent["body"], sent["tries"]) == ("sent", "", 1)
    (one,) = kept(tmp_path / "mail")
    assert (one["To"], one["From"], one["Subject"]) == (HELLO.recipient, "Switchboard <crm@example.com>", "Grüße")
    assert one["Message-ID"] == f"<{sent['id']}@example.com>"
    assert one.get_content() == HELLO.body
    assert HELLO.body in one.as_string(), "nothing is wrapped"


async def test_a_server_that_is_away_is_tried_again_later_each_time(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await post([HELLO], seconds=3600)
    async with mailbox(tmp_path / "mail") as address:
        gone = smtp_at(address)
    waits = []
    for _ in range(4):
        assert await mail.send_due(pool, gone) == 1
        assert await mail.send_due(pool, gone) == 0
        held = await row(pool)
        assert held["status"] == "pending"
        assert "ConnectionRefusedError" in held["error"]
        waits.append(round(held["wait"].total_seconds()))
        await pool.execute("UPDATE mails SET due_at = now()")
    assert waits == [5, 10, 20, 40]
    async with mailbox(tmp_path / "mail") as address:
        await mail.send_due(pool, smtp_at(address))
    assert len(kept(tmp_path / "mail")) == 1
    assert (await row(pool))["error"] == ""


async def test_a_refusal_is_final_and_a_delay_is_not_and_neither_holds_up_the_rest(pool: asyncpg.Pool) -> None:
    letters = [replace(HELLO, recipient=f"{who}@example.com") for who in ("never", "later", "fine")]
    bad = replace(HELLO, recipient="line\r\nBcc: x@example.com")
    await post([*letters, bad], seconds=3600)
    async with picky() as address:
        await mail.send_due(pool, smtp_at(address))
    rows = {row["recipient"]: row for row in await pool.fetch("SELECT * FROM mails")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "never@example.com": "failed",
        "later@example.com": "pending",
        "fine@example.com": "sent",
        bad.recipient: "failed",
    }
    assert "550" in rows["never@example.com"]["error"]
    assert rows["never@example.com"]["body"] == ""
    assert rows["later@example.com"]["body"] != ""


async def test_what_is_too_late_is_not_sent(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await post([HELLO], seconds=0)
    async with mailbox(tmp_path / "mail") as address:
        await mail.send_due(pool, smtp_at(address))
    held = await row(pool)
    assert (held["status"], held["body"]) == ("failed", "")
    assert kept(tmp_path / "mail") == []


async def test_what_a_dead_worker_was_sending_is_sent_again_under_the_same_id(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    await post([HELLO], seconds=3600)
    await pool.fetch(mail.CLAIM, 10, mail.LOST)
    async with mailbox(tmp_path / "mail") as address:
        assert await mail.send_due(pool, smtp_at(address)) == 0, "somebody may be at it"
        await pool.execute("UPDATE mails SET due_at = now()")
        assert await mail.send_due(pool, smtp_at(address)) == 1
    (one,) = kept(tmp_path / "mail")
    assert one["Message-ID"] == f"<{(await row(pool))['id']}@example.com>"


async def test_several_workers_send_each_mail_once(pool: asyncpg.Pool, tmp_path: Path) -> None:
    await post([replace(HELLO, recipient=f"{n}@example.com") for n in range(50)], seconds=3600)
    async with mailbox(tmp_path / "mail") as address:
        smtp = smtp_at(address)
        senders = [asyncio.create_task(mail.send(pool, smtp)) for _ in range(3)]
        async with asyncio.timeout(30):
            while await pool.fetchval("SELECT count(*) FROM mails WHERE status <> 'sent'"):
                await asyncio.sleep(0.02)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
    assert sorted(one["To"] for one in kept(tmp_path / "mail")) == sorted(f"{n}@example.com" for n in range(50))


async def test_without_a_server_mails_wait_and_the_log_says_so_once(pool: asyncpg.Pool) -> None:
    await post([HELLO], seconds=3600)
    with structlog.testing.capture_logs() as said:
        await mail.send(pool, Smtp.of(Settings()))
    assert [line["event"] for line in said] == ["mails_wait"]
    assert (await row(pool))["status"] == "pending"


async def test_a_mail_rolled_back_is_none(pool: asyncpg.Pool) -> None:
    async def give_up() -> None:
        async with databases.transaction(databases.Context(source="test")):
            await post([HELLO], seconds=3600)
            raise ValueError("given up")

    with pytest.raises(ValueError, match="given up"):
        await give_up()
    assert await pool.fetchval("SELECT count(*) FROM mails") == 0
