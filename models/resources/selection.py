"""What is read of a table's rows and of the rows they refer to: one statement, whose text is made once.

Tortoise writes the SELECT of some ORM paths with its joins. That takes longer than all the rest of a request and gives
the same text each time, so it is kept. Which rows stands before it: a SELECT of some, or the INSERT or UPDATE whose
outcome is to be seen, so that a change and what is answered to it are one round trip and one state of the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from tortoise.fields import DatetimeField, Field
from tortoise.models import Model

from models import database
from models.database import Context
from models.resources.custom.changes import COLUMN, LATEST, Changes, Outdated

Row = Mapping[str, Any]
#: The id of a row.
Key = int | UUID


class Selection:
    """Some ORM paths of a model. Rows have a value for each, as the ORM gives it."""

    def __init__(self, model: type[Model], paths: Iterable[str]) -> None:
        self._model = model
        self._paths = tuple(paths)

    async def one(self, key: Key, *, held: bool = False) -> Row | None:
        """The row with this id, None if there is none; `held` keeps others from changing it in this transaction."""
        rows = await self._of(f'SELECT * FROM "{self._table}" WHERE id = $1{" FOR UPDATE" * held}', [key])
        return rows[0] if rows else None

    async def held(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """The rows with these ids, by id, kept from changes by others in this transaction."""
        rows = await self._of(f'SELECT * FROM "{self._table}" WHERE id = ANY($1) ORDER BY id FOR UPDATE', [list(keys)])
        return {row["id"]: row for row in rows}

    async def found(self, source: str, values: Sequence[Any], also: Sequence[str], order: str) -> list[Row]:
        """The rows whose `id` a statement gives, with the columns of it that they have `also`, ordered by such."""
        table = f'"{self._table}"'
        columns = ", ".join(f"part.{name}" for name in also)
        chosen = f"SELECT {table}.*, {columns} FROM ({source}) AS part JOIN {table} ON {table}.id = part.id"
        return await self._of(
            chosen, values, planned=True, also="".join(f", {table}.{name}" for name in also), then=f" ORDER BY {order}"
        )

    async def count(self, where: str, values: Sequence[Any]) -> int:
        """How many rows a condition keeps."""
        (row,) = await database.query(f'SELECT count(*) FROM "{self._table}" WHERE {where}', values)
        return int(row["count"])

    async def inserted(self, columns: Row, context: Context, custom: Changes | None = None) -> Row:
        """A new row with these columns. Raises IntegrityError, and Outdated if its custom fields are."""
        if custom is not None:
            columns = {**columns, COLUMN: custom.values}
        values = self._stored(columns)
        names = ", ".join(f'"{name}"' for name in columns)
        places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
        source = f'INSERT INTO "{self._table}" ({names}) VALUES ({places})'
        if custom is not None:
            values.append(custom.version)
            source = f'INSERT INTO "{self._table}" ({names}) SELECT {places} WHERE {LATEST.format(len(values))}'
        rows = await self._changed(source, values, context)
        if not rows:
            raise Outdated
        return rows[0]

    async def updated(
        self, key: Key, columns: Row, known: Row, context: Context, custom: Changes | None = None
    ) -> Row | None:
        """The row with these columns changed, None if `known` is not what stands there or its custom fields are not
        by the latest definitions. Raises IntegrityError.
        """
        values = [key, *self._stored(known), *self._stored(columns)]
        first = len(known) + 2
        conditions = [f' AND "{name}" IS NOT DISTINCT FROM ${place}' for place, name in enumerate(known, 2)]
        changes = [f'"{name}" = ${place}' for place, name in enumerate(columns, first)]
        if custom is not None:
            values += [*self._stored({COLUMN: custom.values}), custom.version]
            changes.append(f'"{COLUMN}" = hub_merged("{self._table}"."{COLUMN}", ${len(values) - 1})')
            conditions.append(f" AND {LATEST.format(len(values))}")
        source = f'UPDATE "{self._table}" SET {", ".join(changes)} WHERE id = $1{"".join(conditions)}'
        rows = await self._changed(source, values, context)
        return rows[0] if rows else None

    async def _changed(self, source: str, values: Sequence[Any], context: Context) -> list[Row]:
        returning = f"{source} RETURNING *, {database.UNDER.format(len(values) + 1)}"
        return await self._of(returning, [*values, context.json()], changes=True)

    async def _of(
        self,
        source: str,
        values: Sequence[Any],
        *,
        also: str = "",
        then: str = "",
        changes: bool = False,
        planned: bool = False,
    ) -> list[Row]:
        """What is selected of the rows that a statement gives."""
        columns, joins = self._select
        sql = f'WITH chosen AS ({source}) {columns}{also} FROM chosen AS "{self._table}"{joins}{then}'
        rows = await (database.query(sql, values) if planned else database.execute(sql, values, changes=changes))
        for row in rows:
            for path, read in self._readers:
                row[path] = read(row[path])
        return list(rows)

    @property
    def _table(self) -> str:
        return self._model._meta.db_table

    @cached_property
    def _select(self) -> tuple[str, str]:
        """The SELECT, before and after it names the table."""
        text = self._model.all().values(*self._paths).sql()
        columns, joins = text.split(f' FROM "{self._table}"')
        return columns, joins

    @cached_property
    def _readers(self) -> list[tuple[str, Callable[[Any], Any]]]:
        """How what asyncpg gives becomes what the ORM gives, for the paths where that is not the same."""
        fields = {path: _field(self._model, path) for path in self._paths}
        return [(path, _reader(field)) for path, (field, native) in fields.items() if not native]

    def _stored(self, columns: Row) -> list[Any]:
        """Values as the columns take them."""
        fields = self._model._meta.fields_map
        return [fields[name].to_db_value(value, self._model) for name, value in columns.items()]


def _field(model: type[Model], path: str) -> tuple[Field[Any], bool]:
    """The field a path leads to, and whether asyncpg gives its values as they are."""
    name, _, rest = path.partition("__")
    field = model._meta.fields_map[name]
    if rest:
        return _field(field.related_model, rest)  # type: ignore[attr-defined]
    # Moments come in UTC, as the ORM would make them.
    moment = isinstance(field, DatetimeField)
    return field, moment or any(native == name for _, native, _ in model._meta.db_native_fields)


def _reader(field: Field[Any]) -> Callable[[Any], Any]:
    """What makes a value the ORM's; a choice is looked up, as that is most of what there is to do."""
    words = getattr(field, "enum_type", None)
    return field.to_python_value if words is None else {None: None, **{word.value: word for word in words}}.__getitem__
