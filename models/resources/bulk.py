"""Changes of many records at once: to each what a single change would do or say, in a few statements for all.

A request does it for some hundreds, a job chunk by chunk for more. The records of a chunk are held, judged one by one
and changed together; only where the database refuses them together is the culprit looked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tortoise.exceptions import IntegrityError

from models import access, database
from models.access import Viewer, may
from models.resources import dependents, references
from models.resources.conflicts import conflict
from models.resources.custom.changes import COLUMN
from models.resources.kinds import Choice
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import FIXED, MISSING, Reference, Resource
from models.resources.selection import Key, Row

#: Records one can name.
MOST = 10_000
#: Records of one chunk: well under two seconds of work.
CHUNK = 500

NO_IDS = f"Must be a list of 1 to {MOST:,} ids."
NOT_FOUND = "Not found."
FORBIDDEN = "You do not have permission to perform this action."


class Action(StrEnum):
    """What is to be done to the records."""

    UPDATE = "update"
    DELETE = "delete"


class Result(StrEnum):
    """What became of one record."""

    UPDATED = "updated"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    INVALID = "invalid"


#: Results of records to which it was done, or needed no doing.
WELL = frozenset({Result.UPDATED, Result.DELETED, Result.UNCHANGED})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one record, and why it was not done."""

    id: Key
    result: Result
    detail: str = ""
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As clients see it: with `detail`, or `errors` by field, where there is one."""
        shown: dict[str, Any] = {"id": self.id, "result": self.result.value}
        if self.detail:
            shown["detail"] = self.detail
        if self.errors:
            shown["errors"] = self.errors
        return shown


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a chunk, in the order in which its records were named."""

    outcomes: Sequence[Outcome]
    #: How many of them were given to another user than who did it, by user id.
    assigned: Mapping[int, int]

    @property
    def failed(self) -> list[Outcome]:
        """Those to which it was not done."""
        return [outcome for outcome in self.outcomes if outcome.result not in WELL]

    def count(self, result: Result) -> int:
        """How many had this result."""
        return sum(outcome.result is result for outcome in self.outcomes)


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """What is to be done, and to which records: each once, in the order in which they were named."""

    resource: Resource
    action: Action
    ids: Sequence[Key]
    #: What to store, by field name.
    values: Mapping[str, Any]


def read(resource: Resource, body: Mapping[str, Any]) -> Bulk:
    """A change of many records from a client's {ids, action, data}. Raises Invalid for everything that is wrong."""
    wrong: dict[str, list[str]] = {
        name: ["Unknown. Allowed: ids, action, data."] for name in body.keys() - {"ids", "action", "data"}
    }
    ids: list[Key] = []
    action, values = Action.UPDATE, {}
    try:
        ids = _ids(resource, body.get("ids"))
    except Mistake as mistake:
        wrong["ids"] = [str(mistake)]
    try:
        action = Action(Choice(Action).read(body.get("action")))
    except Mistake as mistake:
        wrong["action"] = [str(mistake) if "action" in body else MISSING]
    try:
        values = _values(resource, action, body.get("data"))
    except Mistake as mistake:
        wrong["data"] = [str(mistake)]
    except Invalid as invalid:
        wrong |= invalid.messages
    if wrong:
        raise Invalid(wrong)
    return Bulk(resource=resource, action=action, ids=ids, values=values)


def _ids(resource: Resource, given: object) -> list[Key]:
    if not isinstance(given, list):
        raise Mistake(NO_IDS)
    try:
        ids: list[Key] = list(dict.fromkeys(resource.key.read(one) for one in given))
    except Mistake as mistake:
        raise Mistake(f"{NO_IDS} One of these is none: {mistake}") from None
    if not 1 <= len(ids) <= MOST:
        raise Mistake(f"{NO_IDS} These are {len(ids):,}.")
    return ids


def _values(resource: Resource, action: Action, given: object) -> dict[str, Any]:
    if action is Action.DELETE:
        if given not in (None, {}):
            raise Mistake("A deletion takes no data.")
        return {}
    if not isinstance(given, dict) or not given:
        raise Mistake("Must be a JSON object with the fields to change.")
    if COLUMN in given:
        raise Invalid({COLUMN: ["Custom fields cannot be changed in bulk."]})
    values = resource.read(given, partial=True)
    if fixed := given.keys() - resource.writable.keys():
        raise Invalid({name: [FIXED] for name in fixed})
    return values


async def apply(bulk: Bulk, viewer: Viewer, ids: Sequence[Key]) -> Done:
    """Do it to these of its records, in the transaction that is open here."""
    rows = await bulk.resource.access.held(ids)
    outcomes: dict[Key, Outcome] = {}
    for id in ids:
        if (row := rows.get(id)) is None or not bulk.resource.seen(row, "", viewer):
            outcomes[id] = Outcome(id=id, result=Result.NOT_FOUND, detail=NOT_FOUND)
        elif not may(viewer, access.Action(bulk.action), bulk.resource.entity, row):
            outcomes[id] = Outcome(id=id, result=Result.FORBIDDEN, detail=FORBIDDEN)
    left = [id for id in sorted(rows) if id not in outcomes]
    do = _update if bulk.action is Action.UPDATE else _delete
    outcomes |= await do(bulk, viewer, {id: rows[id] for id in left})
    done = [outcomes[id] for id in ids]
    return Done(outcomes=done, assigned=_assigned(bulk, viewer, rows, done))


def _assigned(bulk: Bulk, viewer: Viewer, rows: Mapping[Key, Row], done: Sequence[Outcome]) -> dict[int, int]:
    user = bulk.values.get("assigned_to")
    if user is None or user == viewer.id:
        return {}
    given = [o for o in done if o.result is Result.UPDATED and rows[o.id]["assigned_to_id"] != user]
    return {user: len(given)} if given else {}


async def _update(bulk: Bulk, viewer: Viewer, rows: Mapping[Key, Row]) -> dict[Key, Outcome]:
    resource = bulk.resource
    errors = await _unknown(bulk, viewer, rows)
    columns = [resource.writable[name].column for name in bulk.values]
    fields = resource.model._meta.fields_map
    stored = [fields[c].to_db_value(v, resource.model) for c, v in zip(columns, bulk.values.values(), strict=True)]
    changes = ", ".join(f'"{column}" = ${place}' for place, column in enumerate(columns, 2))
    second = enumerate(columns, 2 + len(columns))
    differs = " OR ".join(f'"{column}" IS DISTINCT FROM ${place}' for place, column in second)
    sql = f'UPDATE "{resource.table}" SET {changes} WHERE id = ANY($1) AND ({differs}) RETURNING id'

    async def update(ids: Sequence[Key]) -> dict[Key, Outcome]:
        changed = {row["id"] for row in await database.execute(sql, [list(ids), *stored, *stored])}
        return {id: Outcome(id=id, result=Result.UPDATED if id in changed else Result.UNCHANGED) for id in ids}

    refused = {id: Outcome(id=id, result=Result.INVALID, errors=why) for id, why in errors.items()}
    return refused | await _together(resource, [id for id in rows if id not in errors], update)


async def _unknown(bulk: Bulk, viewer: Viewer, rows: Mapping[Key, Row]) -> dict[Key, dict[str, list[str]]]:
    """The records that would newly refer to what the viewer cannot see, and what is wrong with that."""
    wrong: dict[Key, dict[str, list[str]]] = {}
    for name, value in bulk.values.items():
        reference = bulk.resource.writable[name]
        if not isinstance(reference, Reference) or value is None:
            continue
        try:
            await references.find(reference, value, viewer)
        except Mistake as mistake:
            for id, row in rows.items():
                if row[reference.column] != value:
                    wrong.setdefault(id, {})[name] = [str(mistake)]
    return wrong


async def _delete(bulk: Bulk, viewer: Viewer, rows: Mapping[Key, Row]) -> dict[Key, Outcome]:
    why = await dependents.protected(bulk.resource, list(rows), viewer)

    async def delete(ids: Sequence[Key]) -> dict[Key, Outcome]:
        await database.execute(f'DELETE FROM "{bulk.resource.table}" WHERE id = ANY($1)', [list(ids)])
        return {id: Outcome(id=id, result=Result.DELETED) for id in ids}

    refused = {id: Outcome(id=id, result=Result.FORBIDDEN, detail=said) for id, said in why.items()}
    return refused | await _together(bulk.resource, [id for id in rows if id not in why], delete)


Do = Callable[[Sequence[Key]], Awaitable[dict[Key, Outcome]]]


async def _together(resource: Resource, ids: Sequence[Key], do: Do) -> dict[Key, Outcome]:
    """Do it to all of them, or if the database refuses that, to one half and to the other, down to the culprits."""
    if not ids:
        return {}
    try:
        async with database.savepoint():
            return await do(ids)
    except IntegrityError as error:
        if len(ids) == 1:
            errors = conflict(resource, error).messages
            return {ids[0]: Outcome(id=ids[0], result=Result.INVALID, errors=errors)}
        half = len(ids) // 2
        return await _together(resource, ids[:half], do) | await _together(resource, ids[half:], do)
