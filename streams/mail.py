"""Sending the mails that stand in the database: claim, act, settle, so that a worker may die at any moment.

A mail that was claimed and not settled is tried again after LOST seconds, with the same Message-ID; it may then arrive
twice, but not never.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

import asyncpg
import structlog
from asyncpg.exceptions import InterfaceError, InternalClientError, PostgresError
from prometheus_client import Counter

from settings import Settings
from streams.failures import told

log = structlog.get_logger()

SENT = Counter("mails_total", "Mails by what became of a try", ["outcome"])

#: Seconds between two looks for what is due, mails taken at a time, and seconds one connection may take.
LOOK_EVERY, BATCH, PATIENCE = 1.0, 20, 30.0
#: Seconds before the second try and the longest between two; each waits twice as long as the one before it.
FIRST, LONGEST = 5, 900
#: Seconds after which a mail that was being sent is tried by somebody else.
LOST = 300

CLAIM = """
UPDATE mails SET status = 'sending', tries = tries + 1, due_at = now() + make_interval(secs => $2)
WHERE id IN (SELECT id FROM mails WHERE status IN ('pending', 'sending') AND due_at <= now()
             ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, recipient, subject, body, created_at, expires_at <= now() AS late, tries
"""
DONE = "UPDATE mails SET status = 'sent', sent_at = now(), body = '', error = '' WHERE id = $1 AND status = 'sending'"
AGAIN = """
UPDATE mails SET status = 'pending', error = $2,
    due_at = now() + make_interval(secs => least($3, $4 * power(2, least(tries - 1, 20))))
WHERE id = $1 AND status = 'sending'
"""
GIVE_UP = "UPDATE mails SET status = 'failed', body = '', error = $2 WHERE id = $1 AND status = 'sending'"


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """The server that takes our mails."""

    host: str
    port: int
    user: str
    password: str
    #: none, starttls or tls.
    security: str
    sender: str

    @staticmethod
    def of(settings: Settings) -> Smtp | None:
        """The one that is set, None if none is."""
        if not settings.smtp:
            return None
        host, _, port = settings.smtp.rpartition(":")
        return Smtp(
            host=host.strip("[]"),
            port=int(port),
            user=settings.smtp_user,
            password=settings.smtp_password,
            security=settings.smtp_security,
            sender=settings.mail_from,
        )

    def send(self, mails: Sequence[Any]) -> list[Exception | None]:
        """Send rows of the table over one connection, waiting for the server; for each what went wrong.

        Raises OSError or SMTPException when there is no talking to it.
        """
        with self._connected() as server:
            return [self._sent(server, mail) for mail in mails]

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=PATIENCE, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=PATIENCE)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server

    def _sent(self, server: smtplib.SMTP, mail: Any) -> Exception | None:
        try:
            server.send_message(_message(self, mail))
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return error
        return None


async def send(pool: asyncpg.Pool, smtp: Smtp | None) -> None:
    """Send what is due as soon as it is, until cancelled; without a server say so once."""
    if smtp is None:
        log.warning("mails_wait", because="HUB_SMTP is not set")
        return
    while True:
        try:
            while await send_due(pool, smtp):
                pass
        except (PostgresError, InterfaceError, InternalClientError, OSError) as error:
            log.warning("mails_put_off", error=repr(error))
        await asyncio.sleep(LOOK_EVERY)


async def send_due(pool: asyncpg.Pool, smtp: Smtp) -> int:
    """Send some of what is due; how many were tried."""
    claimed = await pool.fetch(CLAIM, BATCH, LOST)
    for row in claimed:
        if row["late"]:
            await _settle(pool, row, smtplib.SMTPException("too late: it is of no use any more"), final=True)
    mails = [row for row in claimed if not row["late"]]
    if not mails:
        return len(claimed)
    try:
        outcomes = await asyncio.to_thread(smtp.send, mails)
    except (OSError, smtplib.SMTPException) as error:
        outcomes = [error] * len(mails)
    for row, outcome in zip(mails, outcomes, strict=True):
        await _settle(pool, row, outcome, final=_is_final(outcome))
    return len(claimed)


async def _settle(pool: asyncpg.Pool, row: Any, error: Exception | None, *, final: bool) -> None:
    """Note what became of a try."""
    if error is None:
        SENT.labels("sent").inc()
        await pool.execute(DONE, row["id"])
        return
    said = told(error)[:500]
    SENT.labels("failed" if final else "put_off").inc()
    log.warning("mail_not_sent", mail=str(row["id"]), tries=row["tries"], final=final, error=said)
    if final:
        await pool.execute(GIVE_UP, row["id"], said)
    else:
        await pool.execute(AGAIN, row["id"], said, LONGEST, FIRST)


def _is_final(error: Exception | None) -> bool:
    """Whether the server, or we ourselves, will say the same the next time: a code of 5xx about this mail."""
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=recipients):
            return all(500 <= code < 600 for code, _ in recipients.values())
        case smtplib.SMTPSenderRefused(smtp_code=code) | smtplib.SMTPDataError(smtp_code=code):
            return 500 <= code < 600
    return isinstance(error, ValueError)


def _message(smtp: Smtp, row: Any) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = smtp.sender
    mail["To"] = row["recipient"]
    mail["Subject"] = row["subject"]
    mail["Date"] = format_datetime(row["created_at"])
    domain = parseaddr(smtp.sender)[1].rpartition("@")[2] or "localhost"
    mail["Message-ID"] = f"<{row['id']}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    # As it is where that is possible, so that whoever looks at the raw mail sees links whole.
    mail.set_content(row["body"], cte="7bit" if row["body"].isascii() else None)
    return mail
