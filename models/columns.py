"""Columns the tables share. Every default stands in the database too, so that raw SQL and COPY get it."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Any, TypeVar
from uuid import uuid4

from tortoise import fields
from tortoise.fields.db_defaults import Now, SqlDefault
from tortoise.migrations.constraints import CheckConstraint

Choice = TypeVar("Choice", bound=StrEnum)


class InetField(fields.Field[str], str):  # type: ignore[misc]
    """An IP address, as text in Python."""

    SQL_TYPE = "INET"

    def to_python_value(self, value: Any) -> str | None:
        return None if value is None else str(ipaddress.ip_address(str(value)))


def key() -> Any:
    """A UUID primary key."""
    return fields.UUIDField(primary_key=True, default=uuid4, db_default=SqlDefault("gen_random_uuid()"))


def text(length: int) -> Any:
    """Optional short text; empty when there is none."""
    return fields.CharField(max_length=length, default="", db_default="")


def prose() -> Any:
    """Optional text of any length; empty when there is none."""
    return fields.TextField(default="", db_default="")


def number(default: int = 0) -> Any:
    """A whole number."""
    return fields.IntField(default=default, db_default=default)


def flag(default: bool) -> Any:
    """True or false."""
    return fields.BooleanField(default=default, db_default=default)


def choice(values: type[Choice], default: Choice | None = None, *, length: int = 20) -> Any:
    """One of an enum's values; `one_of` makes the database insist on it."""
    # The description is empty on purpose: the field would otherwise list the enum in a column comment.
    if default is None:
        return fields.CharEnumField(values, max_length=length, description="")
    return fields.CharEnumField(values, max_length=length, description="", default=default, db_default=default.value)


def money(*, null: bool = False) -> Any:
    """An amount with two decimals."""
    nullable: Any = {"null": null}
    return fields.DecimalField(max_digits=12, decimal_places=2, **nullable)


def items() -> Any:
    """A JSON list."""
    return fields.JSONField(default=list, db_default=SqlDefault("'[]'"))


def mapping() -> Any:
    """A JSON object."""
    return fields.JSONField(default=dict, db_default=SqlDefault("'{}'"))


def moment(*, null: bool = True) -> Any:
    """A point in time."""
    nullable: Any = {"null": null}
    return fields.DatetimeField(**nullable)


def created() -> Any:
    """When the row was made."""
    return fields.DatetimeField(auto_now_add=True, db_default=Now())


def updated() -> Any:
    """When the row last changed. The trigger `hub_touch` keeps it for writes that do not name it."""
    return fields.DatetimeField(auto_now=True, db_default=Now())


def one_of(table: str, column: str, values: type[StrEnum]) -> CheckConstraint:
    """The check that a choice column holds one of its choices."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(check=f"{column} IN ({listed})", name=f"{table}_{column}_choice")


def between(table: str, column: str, low: int, high: int) -> CheckConstraint:
    """The check that a number lies within bounds, both included."""
    return CheckConstraint(check=f"{column} BETWEEN {low} AND {high}", name=f"{table}_{column}_range")
