"""Who may do what to which record: one table of rules that guards REST, queries, subscription and delivery."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a user is here."""

    ADMIN = "admin"
    MANAGER = "manager"
    SALES_REP = "sales_rep"
    MARKETING = "marketing"
    CUSTOMER_SUPPORT = "customer_support"
    VIEWER = "viewer"
