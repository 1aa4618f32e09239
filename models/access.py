"""Who may do what to which record: one table of rules that guards REST, queries, subscription and delivery.

`may` judges one record, `visible_sql` filters queries, `audience` says who may see a publication about a record. All
three read `RULES`, and a property test holds them against each other in Postgres.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import orjson


class Role(StrEnum):
    """What a user is here."""

    ADMIN = "admin"
    MANAGER = "manager"
    SALES_REP = "sales_rep"
    MARKETING = "marketing"
    CUSTOMER_SUPPORT = "customer_support"
    VIEWER = "viewer"


class Action(StrEnum):
    """What somebody wants to do to a record."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Somebody who is signed in."""

    id: int
    role: Role


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The part of an entity's records that a rule is about."""

    everything: bool = False
    #: Columns with a user's id: a record that has one's own id in any of them is one's own.
    own: tuple[str, ...] = ()
    #: A column whose records are everybody's as long as it is null.
    unless: str | None = None

    @property
    def nothing(self) -> bool:
        """Whether no record is within reach."""
        return not self.everything and not self.own and self.unless is None

    def holds(self, viewer_id: int, row: Mapping[str, Any]) -> bool:
        """Whether a record is within reach of this user."""
        return (
            self.everything
            or any(row[column] == viewer_id for column in self.own)
            or (self.unless is not None and row[self.unless] is None)
        )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one role may do to one entity: which records it reads, and which of them it writes."""

    read: Reach
    write: Reach


EVERYTHING = Reach(everything=True)
NOTHING = Reach()

FULL = Rule(read=EVERYTHING, write=EVERYTHING)
READER = Rule(read=EVERYTHING, write=NOTHING)
NONE = Rule(read=NOTHING, write=NOTHING)


def _within(*own: str, unless: str | None = None) -> Rule:
    reach = Reach(own=own, unless=unless)
    return Rule(read=reach, write=reach)


_DEALS = _within("owner_id", "assigned_to_id", unless="assigned_to_id")
_PEOPLE = _within("created_by_id", "assigned_to_id", unless="assigned_to_id")
_DUTIES = _within("created_by_id", "assigned_to_id")
_OWN_ACTIONS = Rule(read=Reach(own=("user_id",)), write=NOTHING)


def _staff(rule: Rule) -> dict[Role, Rule]:
    """The same rule for everybody who is neither admin nor manager."""
    return {role: rule for role in Role if role not in LEADERS}


#: Who may do everything where no rule of theirs says otherwise.
LEADERS = (Role.ADMIN, Role.MANAGER)

#: Entity, role, rule. Admin and manager may do everything unless they are named; whoever else is not named may do
#: nothing, so that what is not named at all (deleted records, configuration) is for admin and manager alone.
RULES: Mapping[str, Mapping[Role, Rule]] = {
    "lead": {
        Role.SALES_REP: _DEALS,
        Role.MARKETING: READER,
        Role.CUSTOMER_SUPPORT: READER,
        Role.VIEWER: READER,
    },
    "contact": {
        Role.SALES_REP: _PEOPLE,
        Role.MARKETING: FULL,
        Role.CUSTOMER_SUPPORT: FULL,
        Role.VIEWER: READER,
    },
    "opportunity": {
        Role.SALES_REP: _DEALS,
        Role.CUSTOMER_SUPPORT: READER,
        Role.VIEWER: READER,
    },
    "task": {
        Role.SALES_REP: _DUTIES,
        Role.MARKETING: _DUTIES,
        Role.CUSTOMER_SUPPORT: FULL,
        Role.VIEWER: READER,
    },
    "campaign": {Role.MARKETING: FULL, Role.CUSTOMER_SUPPORT: READER, Role.VIEWER: READER},
    "opportunity_stage": _staff(READER),
    "custom_field": _staff(READER),
    "custom_field_group": _staff(READER),
    "activity": _staff(_within("actor_id")),
    "follow": _staff(_within("user_id")),
    "notification": _staff(_within("user_id")),
    "notification_read": _staff(_within("user_id")),
    "job": _staff(_within("created_by_id")),
    "import": _staff(_within("created_by_id")),
    # Own accounts are changed under rules of their own (hub/accounts.py): nobody gives themselves a role.
    "user": {**_staff(Rule(read=Reach(own=("id",)), write=NOTHING)), Role.MANAGER: READER},
    "account_action": {role: _OWN_ACTIONS for role in Role if role is not Role.ADMIN},
    "user_profile": _staff(_within("user_id")),
}


def _reach(role: Role, action: Action, entity: str) -> Reach:
    rule = RULES.get(entity, {}).get(role, FULL if role in LEADERS else NONE)
    return rule.read if action is Action.READ else rule.write


def may(viewer: Viewer, action: Action, entity: str, row: Mapping[str, Any] | None = None) -> bool:
    """Whether this user may do this to that record, given by its columns (`assigned_to_id` ...).

    Without a record: whether there is any record the user might do it to. A record to be created may leave out
    columns that will be null.
    """
    reach = _reach(viewer.role, action, entity)
    if row is None:
        return not reach.nothing
    if action is Action.CREATE:
        row = {**dict.fromkeys((*reach.own, reach.unless or "")), **row}
    return reach.holds(viewer.id, row)


def visible_sql(viewer: Viewer, entity: str, alias: str, *, me: str | None = None) -> str:
    """The SQL condition that keeps the records this user may read, on the table `alias`.

    The user's id stands in it as a number, or as `me`.
    """
    me = str(int(viewer.id)) if me is None else me
    reach = _reach(viewer.role, Action.READ, entity)
    if reach.everything:
        return "TRUE"
    matches = [f"{alias}.{column} = {me}" for column in reach.own]
    if reach.unless is not None:
        matches.append(f"{alias}.{reach.unless} IS NULL")
    return f"({' OR '.join(matches)})" if matches else "FALSE"


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who may see a publication: whole roles and single users of a role, but not those excepted.

    Users stand with their role because a rule is about both: a lead's assignee who is now with marketing sees it by
    the rule for marketing. On the wire `{"roles": [role], "users": {role: [id]}, "except": {role: [id]}}`.
    """

    roles: frozenset[Role]
    users: frozenset[tuple[Role, int]] = frozenset()
    except_: frozenset[tuple[Role, int]] = frozenset()

    def json(self) -> dict[str, Any]:
        """The value of the `audience` header."""
        value: dict[str, Any] = {"roles": sorted(self.roles)}
        if self.users:
            value["users"] = _by_role(self.users)
        if self.except_:
            value["except"] = _by_role(self.except_)
        return value

    @staticmethod
    def parse(value: bytes | str | Mapping[str, Any]) -> Audience:
        """The audience in a header. Raises ValueError for what is none."""
        if isinstance(value, Mapping):
            return _read(value)
        return _parse(value)

    def admits(self, viewer: Viewer) -> bool:
        """Whether this user may see the publication."""
        one = (viewer.role, viewer.id)
        return (viewer.role in self.roles or one in self.users) and one not in self.except_

    def minus(self, other: Audience) -> Audience:
        """Those in this audience who are not in the other, which has no exceptions: who lost sight of a record."""
        roles = self.roles - other.roles
        return Audience(
            roles=roles,
            users=frozenset(u for u in self.users if u[0] not in other.roles) - other.users,
            except_=self.except_ | frozenset(u for u in other.users if u[0] in roles),
        )

    @property
    def nobody(self) -> bool:
        """Whether it admits no one."""
        return not self.roles and self.users <= self.except_


def audience(entity: str, row: Mapping[str, Any]) -> Audience:
    """Who may read this record, given by its columns."""
    rules = RULES.get(entity, {})
    roles: set[Role] = {role for role in LEADERS if role not in rules}
    users: set[tuple[Role, int]] = set()
    for role, rule in rules.items():
        reach = rule.read
        if reach.everything or (reach.unless is not None and row[reach.unless] is None):
            roles.add(role)
        else:
            users.update((role, row[column]) for column in reach.own if row[column] is not None)
    return Audience(roles=frozenset(roles), users=frozenset(users))


def _by_role(users: Iterable[tuple[Role, int]]) -> dict[str, list[int]]:
    grouped: dict[str, list[int]] = {}
    for role, user in sorted(users):
        grouped.setdefault(role.value, []).append(user)
    return grouped


def _read(value: Mapping[str, Any]) -> Audience:
    try:
        return Audience(
            roles=frozenset(Role(role) for role in value["roles"]),
            users=frozenset((Role(role), int(u)) for role, ids in value.get("users", {}).items() for u in ids),
            except_=frozenset((Role(role), int(u)) for role, ids in value.get("except", {}).items() for u in ids),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not an audience: {error}") from error


@lru_cache(maxsize=4096)
def _parse(value: bytes | str) -> Audience:
    """Cached, because every session asks for the same few audiences again and again."""
    try:
        return _read(orjson.loads(value))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not an audience: {error}") from error
