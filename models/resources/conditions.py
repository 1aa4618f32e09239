"""The WHERE of a list's query, put together from what a request asks for and what the viewer may see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from models.access import Role, Viewer, visible_sql
from models.resources.kinds import Day, Kind, Moment
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import Resource


class Conditions:
    """Conditions joined by AND, and the values of their parameters."""

    def __init__(self, values: Iterable[Any] = (), texts: Iterable[str] = ()) -> None:
        self.values: list[Any] = list(values)
        self._texts: list[str] = list(texts)

    def copy(self) -> Conditions:
        """The same conditions, to which others can be added."""
        return Conditions(self.values, self._texts)

    def inside(self) -> Conditions:
        """No condition but the values of these, for a statement around one that has them."""
        return Conditions(self.values)

    @property
    def narrowing(self) -> bool:
        """Whether there is any."""
        return bool(self._texts)

    @property
    def sql(self) -> str:
        return " AND ".join(self._texts) or "TRUE"

    def place(self, value: Any) -> str:
        """Make a value a parameter, and give its place."""
        self.values.append(value)
        return f"${len(self.values)}"

    def keep(self, condition: str) -> None:
        """Add a condition whose values have their places already."""
        self._texts.append(f"({condition})")

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition; each `{}` in it stands for the next of the values."""
        self.values.extend(values)
        first = len(self.values) - len(values) + 1
        self._texts.append(condition.format(*(f"${first + i}" for i in range(len(values)))))

    def narrow(self, given: Mapping[str, str], columns: Mapping[str, tuple[str, Kind]]) -> None:
        """Add `column = value` for each parameter given, by its column and kind. Raises Invalid."""
        wrong = {}
        for name, (column, kind) in columns.items():
            if name in given:
                try:
                    self.add(f"{column} = {{}}", kind.read_text(given[name]))
                except Mistake as mistake:
                    wrong[name] = [str(mistake)]
        if wrong:
            raise Invalid(wrong)

    def during(self, given: Mapping[str, str], column: str) -> None:
        """Add `start_date` and `end_date`, both included; a date without a time means the whole day. Raises Invalid."""
        for name, compare, side in (("start_date", ">=", time.min), ("end_date", "<=", time.max)):
            if (text := given.get(name)) is None:
                continue
            try:
                whole = len(text) == len("2026-03-31")
                at = datetime.combine(Day().read_text(text), side, UTC) if whole else Moment().read_text(text)
            except Mistake:
                raise Invalid({name: ["Must be a date or a date with a time, such as 2026-03-31T14:30:00Z."]}) from None
            self.add(f"{column} {compare} {{}}", at)

    def visible(self, viewer: Viewer, entity: str, table: str) -> None:
        """Keep the records of a table that the viewer may read."""
        condition = visible_sql(viewer, entity, table, me="{}")
        if condition != "TRUE":
            self.of_viewer(condition, viewer)

    def of_viewer(self, condition: str, viewer: Viewer) -> None:
        """Add a condition in which each `{}` stands for the viewer's id."""
        self.add(condition, *[viewer.id] * condition.count("{}"))

    def readable(self, viewer: Viewer, type_column: str, id_column: str, resources: Iterable[Resource]) -> None:
        """Keep the history of records the viewer may read now.

        What is deleted and what is no resource (users, configuration) is for admin and manager; the history of custom
        fields, which a manager may not all see, is for admin.
        """
        if viewer.role is Role.MANAGER:
            self.add(f"{type_column} NOT IN ('custom_field', 'custom_field_membership')")
        if viewer.role in (Role.ADMIN, Role.MANAGER):
            return
        cases = " ".join(
            f"WHEN '{one.entity}' THEN EXISTS (SELECT 1 FROM {one.model._meta.db_table} record"
            f" WHERE record.id = {id_column}::bigint AND {visible_sql(viewer, one.entity, 'record')})"
            for one in resources
        )
        self.add(f"CASE {type_column} {cases} ELSE FALSE END")
