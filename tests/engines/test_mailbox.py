"""The local mailbox keeps what it is sent."""

from __future__ import annotations

import asyncio
import smtplib
from email.message import EmailMessage
from pathlib import Path

from engines.mailbox import mailbox


async def test_keeps_each_mail_as_a_file(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "Hello"
    mail.set_content("Grüße")
    async with mailbox(tmp_path / "mail") as address:
        host, port = address.split(":")

        def send() -> None:
            with smtplib.SMTP(host, int(port)) as client:
                client.send_message(mail)

        await asyncio.to_thread(send)
    (kept,) = (tmp_path / "mail" / "new").iterdir()
    assert "Subject: Hello" in kept.read_text()
