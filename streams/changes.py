"""A captured row change, as the agents on `crm.changes` look at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from streams import descriptions, images
from streams.envelope import Event
from streams.images import Images, Row


class NotAChange(ValueError):
    """An event on crm.changes is not a row change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One created, updated or deleted row."""

    event: Event
    entity: str
    #: Primary key, as text.
    object_id: str
    #: created, updated or deleted.
    action: str
    before: Row | None
    after: Row | None
    #: Columns that differ, without bookkeeping; only for updates.
    changed: list[str]

    @property
    def row(self) -> Row:
        """The row after the change, or before it when the change deleted it."""
        row = self.before if self.after is None else self.after
        assert row is not None
        return row

    @property
    def name(self) -> str:
        """What the record is called."""
        return descriptions.record_name(self.entity, self.row, self.object_id)

    @property
    def description(self) -> str:
        """One line that says what happened."""
        return descriptions.describe(self.action, self.entity, self.name, self.changed)

    @property
    def actor(self) -> int | None:
        """Id of the user who did it."""
        actor: int | None = self.event.context.get("actor")
        return actor

    def differences(self) -> dict[str, dict[str, Any]]:
        """{field: {"old": ..., "new": ...}} of an update, by the names of the REST interface."""
        before, after = self.before or {}, self.after or {}
        return {
            descriptions.field_name(column): {"old": before.get(column), "new": after.get(column)}
            for column in self.changed
        }

    def fields(self) -> Iterator[tuple[str, Any, Any]]:
        """(field, old, new) of every field an update changed; custom fields one by one, as `custom_fields__<name>`."""
        before, after = self.before or {}, self.after or {}
        for column in self.changed:
            old, new = before.get(column), after.get(column)
            if column != descriptions.CUSTOM or not isinstance(old, dict) or not isinstance(new, dict):
                yield column, old, new
                continue
            names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
            custom = [name for name in names if descriptions.NAME.fullmatch(name)]
            yield from ((f"{column}__{name}", old.get(name), new.get(name)) for name in custom)
            # What raw SQL put there under what is no field's name stays together.
            if strange := [name for name in names if name not in custom]:
                yield column, {n: old[n] for n in strange if n in old}, {n: new[n] for n in strange if n in new}

    def values(self) -> tuple[Row, Row]:
        """(old, new): whole rows where one was created or deleted, else every column that differs."""
        if self.before is None or self.after is None:
            return self.before or {}, self.after or {}
        columns = [column for column in self.after if self.before.get(column) != self.after[column]]
        return {c: self.before.get(c) for c in columns}, {c: self.after[c] for c in columns}


def change_of(event: Event) -> Change:
    """The row change an event tells of. Raises NotAChange."""
    entity, _, action = event.type.rpartition(".")
    data = event.data or {}
    before, after = data.get("before"), data.get("after")
    present = (before is not None, after is not None)
    if present != {"created": (False, True), "updated": (True, True), "deleted": (True, False)}.get(action):
        why = data.get("unreadable") or f"before and after are there: {present}"
        raise NotAChange(f"event {event.id} of type {event.type!r} is no row change: {why}")
    changed: list[str] = []
    if before is not None and after is not None:
        changed = [
            column
            for column, value in after.items()
            if before.get(column) != value and column not in descriptions.BOOKKEEPING
        ]
    return Change(
        event=event,
        entity=entity,
        object_id=event.subject.partition(":")[2],
        action=action,
        before=before,
        after=after,
        changed=changed,
    )


def changes_of(events: Iterable[Event], entities: frozenset[str]) -> list[Change]:
    """The changes of records of these kinds, in order."""
    return [change_of(event) for event in events if event.type.rpartition(".")[0] in entities]


async def actors(connection: asyncpg.Connection, events: Sequence[Event]) -> Images:
    """Images of the users who did these events."""
    return await images.load(
        connection, [(f"user:{e.context['actor']}", e.id) for e in events if e.context.get("actor") is not None]
    )


def actor_image(people: Images, event: Event) -> Row | None:
    """The user who did an event, as they were then."""
    actor = event.context.get("actor")
    return None if actor is None else people.at(f"user:{actor}", event.id)
