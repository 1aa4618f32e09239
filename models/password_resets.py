"""Passwords to be set anew: who has a token for it by mail. Only its hash is kept, and only until it is used."""

from __future__ import annotations

import hashlib
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.database import execute
from models.users import User


class PasswordReset(Model):
    """A token that sets one user's password once."""

    id: Any = columns.key()
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="password_resets", on_delete=fields.CASCADE, db_index=True
    )
    token_hash = fields.CharField(max_length=64)
    created_at: Any = columns.created()
    expires_at: Any = columns.moment(null=False)

    class Meta:
        table = "password_resets"


#: Signing in by e-mail looks users up by it, too.
BY_ADDRESS = "CREATE INDEX crm_users_address ON crm_users (lower(email))"

#: Who shares an address with others gets a mail for each.
ALLOW = """
INSERT INTO password_resets (user_id, token_hash, expires_at)
SELECT id, $2, now() + make_interval(secs => $3) FROM crm_users WHERE lower(email) = lower($1) AND is_active
ORDER BY id LIMIT 5
RETURNING user_id
"""
USE = """
DELETE FROM password_resets r USING crm_users u
WHERE r.user_id = $1 AND r.token_hash = $2 AND r.expires_at > now() AND u.id = r.user_id AND u.is_active
RETURNING true AS good
"""


async def allow(email: str, token: str, seconds: float) -> list[int]:
    """Let the users with this address set a password with that token; their ids."""
    rows = await execute(ALLOW, [email, _hash(token), seconds], changes=True)
    return [row["user_id"] for row in rows]


async def use(user_id: int, token: str) -> bool:
    """Whether the token is good for the user, once: with it all of theirs are gone. In the caller's transaction."""
    if not await execute(USE, [user_id, _hash(token)]):
        return False
    await PasswordReset.filter(user_id=user_id).delete()
    return True


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
