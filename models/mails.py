"""Mails to be sent: written in the transaction that causes them, sent by the workers (`streams/mail.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.database import execute


class MailStatus(StrEnum):
    """How far a mail is. One that a worker is sending is in doubt if that worker dies."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


class Mail(Model):
    """One mail. Its text is removed when it is sent or given up: it may hold a secret."""

    id: Any = columns.key()
    recipient = fields.CharField(max_length=254)
    subject = fields.CharField(max_length=255)
    body: str = columns.prose()
    status: MailStatus = columns.choice(MailStatus, MailStatus.PENDING)
    # Times a worker tried.
    tries: int = columns.number()
    # What the server said to the last one.
    error: str = columns.text(500)
    created_at: Any = columns.created()
    # When it is tried next, or when a try under way counts as lost.
    due_at: Any = columns.created()
    # When it is of no use any more.
    expires_at: Any = columns.moment(null=False)
    sent_at: Any = columns.moment()

    class Meta:
        table = "mails"
        constraints = (columns.one_of("mails", "status", MailStatus),)


INDEX = "CREATE INDEX mails_due ON mails (due_at) WHERE status IN ('pending', 'sending')"

POST = """
INSERT INTO mails (recipient, subject, body, expires_at)
SELECT recipient, subject, body, now() + make_interval(secs => $4)
FROM unnest($1::text[], $2::text[], $3::text[]) AS letter(recipient, subject, body)
"""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What to send to whom, plain text."""

    recipient: str
    subject: str
    body: str


async def post(letters: Sequence[Letter], *, seconds: float) -> None:
    """Have these sent, in the transaction that is open; of no use after so many seconds."""
    columns_of = ([one.recipient for one in letters], [one.subject for one in letters], [one.body for one in letters])
    await execute(POST, [*columns_of, seconds], changes=True)
