"""Sign-ins: somebody is signed in somewhere, from the password to the end.

A sign-in is the family of all the tokens it was given. It has one refresh token that is good, and remembers the one
before it: whoever presents an older one holds a copy, so the sign-in ends for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.database import execute
from models.users import User


class Because(StrEnum):
    """Why a sign-in ended before its time."""

    LOGOUT = "logout"
    REUSE = "reuse"
    PASSWORD = "password"
    SECOND_FACTOR = "second_factor"
    RIGHTS = "rights"


class SignIn(Model):
    """One sign-in. Until its second step is done it has no refresh token."""

    id: Any = columns.key()
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="sign_ins", on_delete=fields.CASCADE, db_index=True
    )
    ip_address = columns.InetField(null=True)
    user_agent: str = columns.prose()
    created_at: Any = columns.created()
    # The refresh token that is good now, the one before it, and when the former was given.
    refresh_id = fields.UUIDField(null=True)
    previous_id = fields.UUIDField(null=True)
    issued_at: Any = columns.moment()
    # Codes tried in the second step.
    tries: int = columns.number()
    expires_at: Any = columns.moment(null=False)
    ended_at: Any = columns.moment()
    ended_because: str = columns.text(20)

    class Meta:
        table = "sign_ins"


@dataclass(frozen=True, kw_only=True)
class Issued:
    """The refresh token a sign-in has now."""

    id: UUID
    at: datetime
    expires_at: datetime


BEGIN = """
INSERT INTO sign_ins (user_id, ip_address, user_agent, expires_at)
VALUES ($1, $2::inet, $3, now() + $4::interval) RETURNING id
"""
ISSUE = """
UPDATE sign_ins SET previous_id = refresh_id, refresh_id = $2, issued_at = now(), expires_at = now() + $3::interval
WHERE id = $1 RETURNING refresh_id, issued_at, expires_at
"""
HELD = """
SELECT s.refresh_id, s.previous_id, s.issued_at, s.expires_at, s.issued_at > now() - $3::interval AS just
FROM sign_ins s JOIN crm_users u ON u.id = s.user_id
WHERE s.id = $1 AND s.user_id = $2 AND u.is_active AND s.ended_at IS NULL AND s.expires_at > now() FOR UPDATE OF s
"""
TRY = """
UPDATE sign_ins s SET tries = tries + 1 FROM crm_users u
WHERE s.id = $1 AND s.user_id = $2 AND u.id = s.user_id AND u.is_active
  AND s.refresh_id IS NULL AND s.ended_at IS NULL AND s.expires_at > now() AND s.tries < $3 RETURNING true AS taken
"""
END = """
UPDATE sign_ins SET ended_at = now(), ended_because = $3
WHERE user_id = $1 AND ended_at IS NULL AND id IS DISTINCT FROM $2 RETURNING id
"""
END_ONE = """
UPDATE sign_ins SET ended_at = now(), ended_because = $3
WHERE id = $1 AND user_id = $2 AND ended_at IS NULL RETURNING id
"""


async def begin(user_id: int, ip: str | None, user_agent: str, within: timedelta) -> UUID:
    """A new sign-in, without tokens; it ends `within` that time unless it is issued some."""
    (row,) = await execute(BEGIN, [user_id, ip, user_agent, within], changes=True)
    return UUID(str(row["id"]))


async def issue(sign_in: UUID, life: timedelta) -> Issued:
    """Its next refresh token; the sign-in lasts as long as that."""
    (row,) = await execute(ISSUE, [sign_in, uuid4(), life], changes=True)
    return _issued(row)


async def exchange(
    sign_in: UUID, user_id: int, token: UUID, life: timedelta, grace: timedelta
) -> tuple[Issued | None, bool]:
    """The refresh token for the one presented, None if it is good no longer; and whether it was a copy of a used one.

    The token before the present one, presented again within `grace`, gets the present one once more: a client that
    asked twice at a time, or did not hear the answer, is no thief. An older one ends the sign-in. The caller's
    transaction commits in each case.
    """
    rows = await execute(HELD, [sign_in, user_id, grace])
    if not rows or rows[0]["refresh_id"] is None:
        return None, False
    held = rows[0]
    if held["refresh_id"] == token:
        return await issue(sign_in, life), False
    if held["previous_id"] == token and held["just"]:
        return _issued(held), False
    return None, await end_one(sign_in, user_id, Because.REUSE)


async def take_try(sign_in: UUID, user_id: int, most: int) -> bool:
    """Count one more code tried in the second step; False if there may be none."""
    return bool(await execute(TRY, [sign_in, user_id, most], changes=True))


async def end(user_id: int, because: Because, *, but: UUID | None = None) -> int:
    """End a user's sign-ins, all or all but one; how many."""
    return len(await execute(END, [user_id, but, because.value], changes=True))


async def end_one(sign_in: UUID, user_id: int, because: Because) -> bool:
    """End one sign-in; whether it had not ended before."""
    return bool(await execute(END_ONE, [sign_in, user_id, because.value], changes=True))


def _issued(row: Any) -> Issued:
    return Issued(id=row["refresh_id"], at=row["issued_at"], expires_at=row["expires_at"])
