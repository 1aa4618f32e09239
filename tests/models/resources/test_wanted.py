"""Lists equal a plain evaluation: any filters, search, order and part, over data that is hard to compare."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import database as databases
from models.access import Action, Role, Viewer, may
from models.opportunities import PROBABILITIES, Stage
from models.resources.opportunities import OPPORTUNITIES
from models.resources.wanted import Wanted
from models.resources.window import Cursor, Window
from tests.examples import examples
from tests.models.resources.oracle import World

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

TEXTS = [
    "", "Müller", "muller", "MULLER", "Mu\u0308ller", "Straße", "STRASSE", "Øre", "ore", "Łódź", "50%", "50 percent",
    "a_b", "aXb", "a\\b", "Ünal, Inc", 'say "hi"', "Σίσυφος", "ΣΊΣΥΦΟΣ", "İzmir", "izmir", "Чай", "чаи", "你好",
    "de Vries", "De Bruin", "'; --", "acme.com", "Acme-Com", "ﬁn", "FIN", "Ærø",
]  # fmt: skip
AMOUNTS = ["0.00", "-1.00", "5.10", "5.09", "0.01", "1000.00", "9999999999.99", "-9999999999.99"]
MOMENTS = [
    "2026-03-31T23:59:59.999999+00:00", "2026-04-01T00:00:00+00:00", "2026-03-31T22:30:00-02:00",
    "2026-04-01T01:00:00+02:00", "1999-12-31T00:00:00+00:00", "2026-03-31T12:00:00+00:00",
]  # fmt: skip
DAYS = ["2026-03-31", "2026-04-01", "1999-12-31", "2028-02-29"]
TAGS = ["vip", "VIP", "a,b", 'x"y', "é"]
WORDS = ["new", "old"]

ORDERS = [
    "name", "company_name", "stage", "amount", "probability", "actual_close_date", "last_activity_date", "created_at",
    "contact__company_name", "contact__assigned_to__username", "assigned_to", "id",
]  # fmt: skip


class Data:
    """The records there are, by entity and id, and people who look at them; no dataclass, whose repr would be long."""

    def __init__(self, records: dict[str, dict[int, dict[str, Any]]]) -> None:
        self.records = records
        roles = (Role.ADMIN, Role.SALES_REP, Role.SALES_REP, Role.CUSTOMER_SUPPORT, Role.MARKETING)
        self.viewers = [Viewer(id=number, role=role) for number, role in enumerate(roles, 1)]


@pytest.fixture
async def data(database: str) -> AsyncIterator[Data]:
    async with databases.pool(database, size=2) as pool, databases.orm(database, size=2):
        await fill(pool, random.Random(4))
        records = {
            entity: {row["id"]: _row(row) for row in await pool.fetch(f"SELECT * FROM {table}")}
            for entity, table in (
                ("user", "crm_users"), ("contact", "crm_contacts"), ("opportunity", "crm_opportunities")
            )
        }  # fmt: skip
        yield Data(records)


def _row(row: Any) -> dict[str, Any]:
    found = dict(row)
    return found | ({"tags": orjson.loads(found["tags"])} if "tags" in found else {})


async def fill(pool: asyncpg.Pool, chance: random.Random) -> None:
    """Five users, 20 contacts and 60 opportunities."""

    def text() -> str:
        return " ".join(chance.sample(TEXTS, chance.choice((1, 1, 2)))).strip()

    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.7 else None

    def moment() -> datetime:
        return datetime.fromisoformat(chance.choice(MOMENTS))

    def day() -> date:
        return date.fromisoformat(chance.choice(DAYS))

    def user() -> int | None:
        return chance.choice((None, 1, 2, 3, 4, 5))

    names = ("ada", "Bo", "Ünal", "dmitri", "eve")
    await pool.executemany(
        "INSERT INTO crm_users (username, email, password) VALUES ($1, $2, 'x')",
        [(name, f"{name}@Example.com") for name in names],
    )
    await pool.executemany(
        "INSERT INTO crm_contacts (first_name, last_name, email, company_name, notes, assigned_to_id, created_by_id,"
        " created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [(text(), text(), f"c{i}@x.com", text(), text(), user(), user(), moment()) for i in range(20)],
    )
    rows = [
        (
            text(),
            text(),
            text(),
            chance.choice(list(Stage)),
            chance.choice(PROBABILITIES),
            Decimal(chance.choice(AMOUNTS)),
            chance.randint(1, 20),
            user(),
            user(),
            day(),
            maybe(day()),
            maybe(moment()),
            moment(),
            orjson.dumps(chance.sample(TAGS, chance.randint(0, 3))).decode(),
        )
        for _ in range(60)
    ]
    await pool.executemany(
        "INSERT INTO crm_opportunities (name, company_name, notes, stage, probability, amount, contact_id,"
        " assigned_to_id, owner_id, expected_close_date, actual_close_date, last_activity_date, created_at, tags)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        rows,
    )


ORDERED = ("lt", "lte", "gt", "gte")


def leaves(name: str, value: st.SearchStrategy[Any], lookups: Sequence[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Comparisons of one field by several lookups."""
    return st.sampled_from(lookups).flatmap(
        lambda word: st.builds(lambda given: {f"{name}__{word}" if word else name: given}, _given(word, value))
    )


def _given(word: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    match word:
        case "isnull":
            return st.booleans()
        case "in":
            return st.lists(value, min_size=1, max_size=4)
        case "range":
            return st.lists(value, min_size=2, max_size=2)
        case "date":
            return st.sampled_from(DAYS)
        case _:
            return value


EQUAL = ("", "ne", "in", "isnull")
TEXT = (*EQUAL, *ORDERED, "range", "iexact", "contains", "icontains", "startswith", "istartswith")
NUMERIC = (*EQUAL, *ORDERED, "range")
MOMENT = (*NUMERIC, "date")

text = st.sampled_from(TEXTS) | st.sampled_from(["mu", "%", "_", "\\", "ß", "ss", "o", "O", "é", " ", "I", "\u0308"])
moment = st.sampled_from(MOMENTS)
bound = moment | st.sampled_from(DAYS)
number = st.sampled_from(["0", "10", "25", "75", "-3"])
amount = st.sampled_from([*AMOUNTS, "5.095", "0", "99999999999999"])
key = st.integers(1, 22).map(str)

leaf: st.SearchStrategy[dict[str, Any]] = st.one_of(
    *(
        leaves(name, text, TEXT)
        for name in ("name", "company_name", "notes", "contact__company_name", "contact__notes", "contact__first_name")
    ),
    *(leaves(name, st.sampled_from(["ada", "BO", "ü", "@example", "Eve"]), TEXT)
      for name in ("assigned_to__username", "contact__assigned_to__email")),
    *(leaves(name, moment, EQUAL) for name in ("created_at", "last_activity_date", "contact__created_at")),
    *(leaves(name, bound, (*ORDERED, "range", "date")) for name in ("created_at", "last_activity_date")),
    *(leaves(name, st.sampled_from(DAYS), NUMERIC) for name in ("expected_close_date", "actual_close_date")),
    *(leaves(name, key, EQUAL) for name in ("contact", "assigned_to", "owner", "contact__assigned_to", "id")),
    leaves("stage", st.sampled_from(list(Stage)), EQUAL),
    leaves("probability", number, (*ORDERED, "range")),
    leaves("amount", amount, NUMERIC),
    leaves("tags", st.lists(st.sampled_from(TAGS), min_size=1, max_size=2), ("contains",)),
)  # fmt: skip

trees = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(lambda one: {"not": one}, inner),
        st.builds(
            lambda word, parts: {word: parts},
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(lambda one, other: {**one, **other}, inner, inner),
    ),
    max_leaves=6,
)

orders = st.lists(st.sampled_from(ORDERS), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.tuples(*(st.sampled_from([name, f"-{name}"]) for name in names))
)


async def walked(wanted: Wanted, size: int, *, backward: bool = False) -> list[dict[str, Any]]:
    """The whole list, cursor by cursor; backward from its end."""
    rows: list[Any] = []
    after = Cursor(values=[None] * len(wanted.order), backward=True) if backward else None
    while part := await wanted.rows(Window(order=wanted.order, limit=size, after=after)):
        rows = [*part, *rows] if backward else [*rows, *part]
        edge = Cursor.at(part[0] if backward else part[-1], wanted.order, backward=backward)
        after = Cursor.read(edge.text(wanted.order), wanted.order)
    return rows


def ids(rows: Sequence[Any]) -> list[int]:
    return [row["id"] for row in rows]


@settings(max_examples=examples(250), deadline=None, suppress_health_check=SHARED)
@given(tree=trees, terms=orders, number=st.integers(0, 4), size=st.integers(1, 30), offset=st.integers(0, 20))
async def test_lists_equal_a_plain_evaluation(
    data: Data, tree: dict[str, Any], terms: Sequence[str], number: int, size: int, offset: int
) -> None:
    viewer = data.viewers[number]
    world = World(data.records, viewer)
    seen = [row for row in data.records["opportunity"].values() if may(viewer, Action.READ, "opportunity", row)]
    expected = ids(world.ordered([row for row in seen if world.true(tree, row)], terms))
    asked = {"filter": orjson.dumps(tree).decode(), "ordering": ",".join(terms)}
    wanted = Wanted.read(OPPORTUNITIES, asked, viewer)
    assert await wanted.count() == len(expected)
    part = await wanted.rows(Window(order=wanted.order, limit=size, offset=offset))
    assert ids(part) == expected[offset : offset + size]
    assert ids(await walked(wanted, size)) == expected


@settings(max_examples=examples(60), deadline=None, suppress_health_check=SHARED)
@given(terms=orders, size=st.integers(1, 7), start=st.integers(1, 59), number=st.integers(0, 4))
async def test_a_cursor_leads_back_as_well(
    data: Data, terms: Sequence[str], size: int, start: int, number: int
) -> None:
    wanted = Wanted.read(OPPORTUNITIES, {"ordering": ",".join(terms)}, data.viewers[number])
    whole = await wanted.rows(Window(order=wanted.order, limit=100))
    if len(whole) > start:
        after = Cursor.at(whole[start], wanted.order, backward=True)
        before = await wanted.rows(Window(order=wanted.order, limit=size, after=after))
        assert ids(before) == ids(whole[max(0, start - size) : start])


searches = st.lists(
    st.sampled_from(
        ["mul", "MÜL", "straß", "ore", "Ø", "50", "acme", "com", "a_b", "hi", "σισ", "你", "de", "v"]  # noqa: RUF001
    ),
    min_size=1,
    max_size=3,
    unique=True,
).map(" ".join)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=SHARED)
@given(search=searches, number=st.integers(0, 4), tree=st.just({}) | leaf)
async def test_searches_equal_a_plain_evaluation(data: Data, search: str, number: int, tree: dict[str, Any]) -> None:
    viewer = data.viewers[number]
    world = World(data.records, viewer)
    expected = {
        row["id"]
        for row in data.records["opportunity"].values()
        if may(viewer, Action.READ, "opportunity", row)
        and world.true(tree, row)
        and world.matches(row, search, ["name"], ["company_name"])
    }
    asked = {"filter": orjson.dumps(tree).decode(), "search": search}
    best = Wanted.read(OPPORTUNITIES, asked, viewer)
    assert set(ids(await walked(best, 7))) == expected
    assert await best.count() == len(expected)
    by_id = Wanted.read(OPPORTUNITIES, {**asked, "ordering": "id"}, viewer)
    assert ids(await walked(by_id, 50)) == sorted(expected)
