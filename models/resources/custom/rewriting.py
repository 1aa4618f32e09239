"""Changes of a custom field that change what records have: deleting it, renaming an option, another type.

A change is begun, done chunk by chunk in the order of records, and finished. In a request that is one transaction.
With many records the chunks are steps of a job, and what begins makes sure that nobody meets values half-way: a field
that is deleted or changes its type is not active meanwhile, an option that is renamed is there under both names.

Every changed record is captured, so its audit trail has the value from before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

import orjson

from models import database
from models.custom_fields import FieldType
from models.resources.catalogue import RESOURCES
from models.resources.custom.changes import COLUMN
from models.resources.custom.defining import RULES, consistent
from models.resources.custom.definition import Definition
from models.resources.mistakes import Mistake
from models.wire import dump

#: Records that one request changes; more are a job's.
AT_ONCE = 2_000

#: Different values that a preview looks at.
LOOKED_AT = 10_000

ROW = """
SELECT to_jsonb(f) || jsonb_build_object('min_value', f.min_value::text, 'max_value', f.max_value::text) AS field
FROM crm_custom_fields f WHERE id = $1
"""


class What(StrEnum):
    """What becomes of a field."""

    DELETE = "delete"
    RENAME_OPTION = "rename_option"
    CHANGE_TYPE = "change_type"


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """One change of a field and of all values it has."""

    what: What
    #: The field as it was.
    before: Mapping[str, Any]
    #: The columns that are others afterwards; none for a field that is deleted.
    after: Mapping[str, Any]
    #: The option that is renamed, and its new value.
    renamed: tuple[str, str] = ("", "")

    def json(self) -> dict[str, Any]:
        """As the parameters of a job have it."""
        return {"what": self.what, "before": _plain(self.before), "after": _plain(self.after), "renamed": self.renamed}

    @staticmethod
    def of(parameters: Mapping[str, Any]) -> Rewriting:
        """The rewriting in a job's parameters."""
        old, new = parameters["renamed"]
        return Rewriting(
            what=What(parameters["what"]),
            before=parameters["before"],
            after=parameters["after"],
            renamed=(old, new),
        )

    @property
    def field(self) -> Definition:
        """The field as it was."""
        return Definition.of(self.before)

    def rewrite(self, stored: Any) -> Any:
        """What becomes of a stored value, None for nothing. Raises Mistake for one that the new type does not take."""
        match self.what:
            case What.DELETE:
                return None
            case What.RENAME_OPTION:
                old, new = self.renamed
                if isinstance(stored, list):
                    return list(dict.fromkeys(new if one == old else one for one in stored))
                return new if stored == old else stored
            case What.CHANGE_TYPE:
                # What is required is required of whoever writes; a value that is there is not blank.
                field = replace(Definition.of({**self.before, **self.after}), required=False)
                return field.read_text(_adapted(self.field.write_text(stored), self.field.type, field.type))

    async def begin(self) -> None:
        """Change the field to what it is meanwhile."""
        if self.what is What.RENAME_OPTION:
            new = [one for one in self.after["options"] if one["value"] == self.renamed[1]]
            known = {one["value"] for one in self.before["options"]}
            both = [*self.before["options"], *(one for one in new if one["value"] not in known)]
            await self._update({"options": both})
        else:
            await self._update({"is_active": False})

    async def finish(self) -> None:
        """Change the field to what it becomes."""
        if self.what is What.DELETE:
            await database.execute("DELETE FROM crm_custom_fields WHERE id = $1", [self.before["id"]], changes=True)
        else:
            await self._update({**self.after, "is_active": self.before["is_active"]})
        if self.what is What.RENAME_OPTION:
            # Until now the old value could be written; nobody can any more, but some of it may stand behind the chunks.
            while (await self.chunk(0, AT_ONCE))[0] is not None:
                pass

    async def chunk(self, after: int, most: int) -> tuple[int | None, int, int]:
        """Rewrite the next records above an id: the last one, None for no more; how many changed; how many lost it."""
        name, table = self.before["name"], RESOURCES[self.field.entity].table
        rows = await database.execute(
            f"""SELECT id, {COLUMN} -> $1 AS value FROM {table} WHERE id > $2 AND {COLUMN} ? $1
                AND ($4::text = '' OR {COLUMN} -> $1 ? $4::text) ORDER BY id LIMIT $3 FOR UPDATE""",
            [name, after, most, self.renamed[0]],
        )
        if not rows:
            return None, 0, 0
        outcome = {text: self._outcome(text) for text in {row["value"] for row in rows}}
        changed = {old: dump(new) for old, new in outcome.items() if new != orjson.loads(old)}
        await database.execute(
            f"""UPDATE {table} r SET {COLUMN} = hub_merged(r.{COLUMN}, jsonb_build_object($1::text, m.new))
                FROM unnest($2::jsonb[], $3::jsonb[]) AS m(old, new)
                WHERE r.id = ANY ($4::bigint[]) AND r.{COLUMN} -> $1 = m.old""",
            [name, list(changed), [text.decode() for text in changed.values()], [row["id"] for row in rows]],
            changes=True,
        )
        lost = sum(outcome[row["value"]] is None for row in rows)
        return rows[-1]["id"], sum(row["value"] in changed for row in rows), lost

    def _outcome(self, text: str) -> Any:
        """What becomes of a value in JSON; None for nothing."""
        try:
            return self.rewrite(orjson.loads(text))
        except Mistake:
            return None

    async def _update(self, columns: Mapping[str, Any]) -> None:
        changes = ", ".join(f'"{name}" = new."{name}"' for name in columns)
        await database.execute(
            f"""UPDATE crm_custom_fields f SET {changes}
                FROM jsonb_populate_record(NULL::crm_custom_fields, $2::jsonb) AS new WHERE f.id = $1""",
            [self.before["id"], orjson.dumps(_plain(columns)).decode()],
            changes=True,
        )


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a rewriting would do."""

    records: int
    lost: int
    #: Values that would be lost, the most frequent first: value, records, why.
    examples: list[dict[str, Any]]
    #: Whether every value was looked at.
    exact: bool


async def row(key: int) -> dict[str, Any] | None:
    """A field's columns as JSON has them, None if there is no such field."""
    rows = await database.execute(ROW, [key])
    return dict(orjson.loads(rows[0]["field"])) if rows else None


async def preview(rewriting: Rewriting) -> Preview:
    """Count what a rewriting would change and lose."""
    name, table = rewriting.before["name"], RESOURCES[rewriting.field.entity].table
    rows = await database.execute(
        f"""SELECT value, count(*) AS records, (sum(count(*)) OVER ())::bigint AS whole
            FROM (SELECT {COLUMN} -> $1 AS value FROM {table} WHERE {COLUMN} ? $1) AS had
            GROUP BY value ORDER BY records DESC, value LIMIT {LOOKED_AT + 1}""",
        [name],
    )
    looked, lost, examples, touched = rows[:LOOKED_AT], 0, list[dict[str, Any]](), 0
    for one in looked:
        value = orjson.loads(one["value"])
        try:
            touched += one["records"] * (rewriting.rewrite(value) != value or rewriting.what is What.CHANGE_TYPE)
        except Mistake as mistake:
            lost += one["records"]
            touched += one["records"]
            if len(examples) < 10:
                examples.append({"value": value, "records": one["records"], "error": str(mistake)})
    exact = len(rows) <= LOOKED_AT
    records = touched if exact else rows[0]["whole"]
    return Preview(records=records, lost=lost, examples=examples, exact=exact)


def changed_type(before: Mapping[str, Any], columns: Mapping[str, Any]) -> Rewriting:
    """A field with another type; rules that the type does not have go. Raises Invalid."""
    rules = {name: nothing for name, (_, nothing) in RULES.items()}
    after = {**rules, "regex_error_message": "", "default_value": "", **columns}
    consistent({**before, **after})
    return Rewriting(what=What.CHANGE_TYPE, before=before, after=after)


def renamed_option(before: Mapping[str, Any], old: str, option: Mapping[str, str]) -> Rewriting:
    """A field one of whose options has another value and label. Raises Mistake, and Invalid for what cannot be one."""
    values = [one["value"] for one in before["options"]]
    if old not in values:
        raise Mistake(f"Must be one of {', '.join(values)}.")
    options = [dict(option) if one["value"] == old else one for one in before["options"]]
    # Under the name of another option: the two become one.
    options = list({one["value"]: one for one in options}.values())
    default = ",".join(option["value"] if one == old else one for one in before["default_value"].split(","))
    after = {"options": options, "default_value": default}
    consistent({**before, **after})
    return Rewriting(what=What.RENAME_OPTION, before=before, after=after, renamed=(old, option["value"]))


def _adapted(text: str, old: FieldType, new: FieldType) -> str:
    """The text of a value as a related type takes it."""
    match old, new:
        case FieldType.DECIMAL, FieldType.NUMBER:
            return text.removesuffix(".00")
        case FieldType.DATE, FieldType.DATETIME:
            return f"{text}T00:00:00Z"
        case FieldType.DATETIME, FieldType.DATE:
            return text[:10]
        case _:
            return text


def _plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns as JSON takes them."""
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in columns.items()}
