"""What was done with accounts: signing in and out, tries that failed, changes of password and second factor.

Rows are only added. The table is captured as every other, so whoever reads the events reads of these, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.database import Context


class AccountActionKind(StrEnum):
    """What was done."""

    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    LOGOUT = "logout"
    REGISTERED = "registered"
    TOKEN_REUSED = "token_reused"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_RESET_REQUESTED = "password_reset_requested"
    PASSWORD_RESET = "password_reset"
    TWO_FACTOR_ENABLED = "two_factor_enabled"
    TWO_FACTOR_DISABLED = "two_factor_disabled"
    TWO_FACTOR_FAILED = "two_factor_failed"
    RECOVERY_CODE_USED = "recovery_code_used"


class AccountAction(Model):
    """One thing done with one account. It names the user without a key, because it outlives them."""

    id = fields.BigIntField(primary_key=True)
    # None when the name that was tried is nobody's.
    user_id = fields.BigIntField(null=True, db_index=True)
    # The user's name then, or what was tried.
    user_name: str = columns.text(254)
    action: AccountActionKind = columns.choice(AccountActionKind, length=30)
    details: Any = columns.mapping()
    ip_address = columns.InetField(null=True)
    user_agent: str = columns.prose()
    timestamp: Any = columns.created()

    class Meta:
        table = "crm_account_actions"
        constraints = (columns.one_of("crm_account_actions", "action", AccountActionKind),)


async def note(
    context: Context, kind: AccountActionKind, user_id: int | None, name: str, details: Mapping[str, Any] | None = None
) -> None:
    """Note what was done, in the transaction that does it."""
    await AccountAction.create(
        user_id=user_id,
        user_name=name[:254],
        action=kind,
        details=dict(details or {}),
        ip_address=context.ip,
        user_agent=context.user_agent,
    )
