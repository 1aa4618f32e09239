"""Demo data: a small sales organisation over its last two years, the same for the same seed and day."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import structlog

from models import passwords
from models.access import Role
from models.database import Context, change
from models.leads import LeadSource, LeadStatus, Priority
from models.opportunities import Stage
from models.tasks import TaskStatus, TaskType

log = structlog.get_logger()

#: Everybody's password in the demo; it signs in to demo data only.
PASSWORD = "switchboard-demo"

#: Username, first and last name, role.
STAFF = (
    ("ada", "Ada", "Marsh", Role.ADMIN),
    ("milo", "Milo", "Grant", Role.MANAGER),
    ("sara", "Sara", "Lindt", Role.SALES_REP),
    ("sven", "Sven", "Okafor", Role.SALES_REP),
    ("suki", "Suki", "Arden", Role.SALES_REP),
    ("mona", "Mona", "Petit", Role.MARKETING),
    ("carl", "Carl", "Dube", Role.CUSTOMER_SUPPORT),
    ("vera", "Vera", "Holm", Role.VIEWER),
)

CONTACTS, LEADS, DEALS, TASKS = 150, 300, 220, 200
DAYS = 730

FIRST = "Alma Boris Chen Dalia Emil Farah Goran Hana Ivo Jana Kofi Lena Marco Nadia Omar Priya Quinn Rosa Tomas Yuki"
LAST = "Abbot Bauer Castro Dinh Eriksen Fofana Gallo Hughes Ito Jensen Kaur Lopez Meyer Novak Osei Park Rossi Silva"
FIRMS = "Acre Birch Cobalt Delta Ember Fjord Garnet Harbor Indigo Juniper Kestrel Lumen Mistral Nimbus Onyx Pioneer"
TRADES = "Foods Logistics Systems Labs Works Energy Textiles Optics"

#: A deal's way through the stages with the probability typed in at each.
WAY = ((Stage.QUALIFICATION, 25), (Stage.PROPOSAL, 50), (Stage.NEGOTIATION, 75), (Stage.CLOSED_WON, 100))


@dataclass(frozen=True, kw_only=True)
class Move:
    """One step of one record: what changes, and when."""

    id: int
    values: tuple[Any, ...]
    at: datetime


class _Story:
    """Draws everything from one seeded source, so that the same seed tells the same story."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.dice = random.Random(seed)
        self.now = now

    def past(self, *, at_least: int = 0) -> datetime:
        """A moment of the last two years, in working hours, at least so many days ago."""
        day = self.now - timedelta(days=self.dice.randint(at_least + 1, DAYS))
        return day.replace(hour=self.dice.randint(8, 17), minute=self.dice.randint(0, 59), second=0, microsecond=0)

    def later(self, moment: datetime, days: int) -> datetime:
        """Some time after a moment, within so many days, but not in the future."""
        return min(moment + timedelta(hours=self.dice.randint(6, days * 24)), self.now)

    def person(self) -> tuple[str, str]:
        return self.dice.choice(FIRST.split()), self.dice.choice(LAST.split())

    def firm(self) -> str:
        return f"{self.dice.choice(FIRMS.split())} {self.dice.choice(TRADES.split())}"

    def amount(self) -> Decimal:
        return Decimal(round(self.dice.lognormvariate(9.3, 0.9))).quantize(Decimal("0.01"))


async def make(pool: asyncpg.Pool, *, seed: int = 7) -> list[tuple[str, str, Role]]:
    """Fill an empty database and return its sign-ins: username, password, role. Does nothing where users exist."""
    story = _Story(seed, datetime.now(UTC))
    secret = await passwords.hash(PASSWORD)
    async with change(pool, Context(source="demo")) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('switchboard demo'))")
        if await connection.fetchval("SELECT EXISTS (SELECT FROM crm_users)"):
            return []
        staff = await _staff(connection, secret)
        reps = [id for id, role in staff if role is Role.SALES_REP]
        contacts = await _contacts(connection, story, reps)
        leads = await _leads(connection, story, reps)
        deals = await _deals(connection, story, reps, contacts)
        await _tasks(connection, story, [id for id, _ in staff], contacts, leads, deals)
    log.info("demo_data_made", users=len(staff), contacts=CONTACTS, leads=LEADS, opportunities=DEALS, tasks=TASKS)
    return [(username, PASSWORD, role) for username, _, _, role in STAFF]


async def _insert(
    connection: asyncpg.Connection, table: str, columns: str, rows: Sequence[tuple[Any, ...]]
) -> list[int]:
    """Insert rows in one statement; their ids in the same order."""
    types = {
        record["attname"]: record["type"]
        for record in await connection.fetch(
            """SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute
               WHERE attrelid = $1::regclass AND attnum > 0""",
            table,
        )
    }
    arrays = ", ".join(f"${n}::{types[column.strip()]}[]" for n, column in enumerate(columns.split(","), 1))
    inserted = await connection.fetch(
        f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}) RETURNING id", *zip(*rows, strict=True)
    )
    return [record["id"] for record in inserted]


async def _staff(connection: asyncpg.Connection, secret: str) -> list[tuple[int, Role]]:
    rows = [
        (username, f"{username}@switchboard.example", first, last, secret, role.value)
        for username, first, last, role in STAFF
    ]
    ids = await _insert(connection, "crm_users", "username, email, first_name, last_name, password, role", rows)
    await connection.execute("INSERT INTO crm_user_profiles (user_id) SELECT unnest($1::bigint[])", ids)
    return [(id, person[3]) for id, person in zip(ids, STAFF, strict=True)]


async def _contacts(connection: asyncpg.Connection, story: _Story, reps: list[int]) -> list[tuple[int, str]]:
    rows = []
    for number in range(CONTACTS):
        (first, last), firm, rep, at = story.person(), story.firm(), story.dice.choice(reps), story.past(at_least=60)
        email = f"{first}.{last}.{number}@{firm.split()[0]}.example".lower()
        kind = story.dice.choices(("customer", "prospect", "vendor", "partner"), (6, 3, 1, 1))[0]
        owner = rep if story.dice.random() < 0.85 else None
        rows.append((first, last, email, firm, kind, owner, rep, at, at))
    ids = await _insert(
        connection,
        "crm_contacts",
        "first_name, last_name, email, company_name, contact_type, assigned_to_id, created_by_id, created_at, "
        "updated_at",
        rows,
    )
    return [(id, row[3]) for id, row in zip(ids, rows, strict=True)]


async def _leads(connection: asyncpg.Connection, story: _Story, reps: list[int]) -> list[int]:
    rows = []
    for number in range(LEADS):
        (first, last), firm, rep, at = story.person(), story.firm(), story.dice.choice(reps), story.past()
        email = f"{first}.{last}.{number}@{firm.split()[0]}.example".lower()
        source, priority = story.dice.choice(list(LeadSource)), story.dice.choice(list(Priority))
        assigned = story.dice.choice(reps) if story.dice.random() < 0.8 else None
        score, value = story.dice.randint(5, 60), story.amount()
        rows.append((first, last, email, firm, source, priority, assigned, rep, score, value, at, at))
    ids = await _insert(
        connection,
        "crm_leads",
        "first_name, last_name, email, company_name, lead_source, priority, assigned_to_id, owner_id, lead_score, "
        "estimated_value, created_at, updated_at",
        rows,
    )
    await _advance_leads(connection, story, [(id, row[-1]) for id, row in zip(ids, rows, strict=True)])
    return ids


async def _advance_leads(connection: asyncpg.Connection, story: _Story, leads: list[tuple[int, datetime]]) -> None:
    """Contact most leads, qualify about half of those, and convert or lose some."""
    contacted = [
        Move(id=id, values=(LeadStatus.CONTACTED, story.dice.randint(20, 70)), at=story.later(at, 9))
        for id, at in leads
        if story.dice.random() < 0.8
    ]
    judged = [
        Move(id=m.id, values=story.dice.choice(_JUDGEMENTS), at=story.later(m.at, 20))
        for m in contacted
        if story.dice.random() < 0.75
    ]
    closed = [
        Move(id=m.id, values=story.dice.choice(_ENDS), at=story.later(m.at, 40))
        for m in judged
        if m.values[0] is LeadStatus.QUALIFIED and story.dice.random() < 0.6
    ]
    for moves in (contacted, judged, closed):
        await connection.execute(
            """UPDATE crm_leads SET status = move.status, lead_score = move.score, last_contact_date = move.at,
                      converted_at = CASE WHEN move.status = 'converted' THEN move.at END, updated_at = move.at
               FROM unnest($1::bigint[], $2::text[], $3::int[], $4::timestamptz[]) AS move (id, status, score, at)
               WHERE crm_leads.id = move.id""",
            *_columns(moves),
        )


_JUDGEMENTS = ((LeadStatus.QUALIFIED, 75), (LeadStatus.QUALIFIED, 85), (LeadStatus.UNQUALIFIED, 15))
_ENDS = ((LeadStatus.CONVERTED, 95), (LeadStatus.CONVERTED, 90), (LeadStatus.LOST, 30))


async def _deals(
    connection: asyncpg.Connection, story: _Story, reps: list[int], contacts: list[tuple[int, str]]
) -> list[int]:
    rows = []
    for number in range(1, DEALS + 1):
        (contact, firm), rep, at = story.dice.choice(contacts), story.dice.choice(reps), story.past()
        assigned = rep if story.dice.random() < 0.9 else None
        closing = (at + timedelta(days=story.dice.randint(30, 120))).date()
        rows.append((f"{firm} {number}", firm, contact, story.amount(), assigned, rep, closing, at, at))
    ids = await _insert(
        connection,
        "crm_opportunities",
        "name, company_name, contact_id, amount, assigned_to_id, owner_id, expected_close_date, created_at, updated_at",
        rows,
    )
    open_deals = [(id, row[-1]) for id, row in zip(ids, rows, strict=True)]
    for stage, probability in WAY:
        open_deals = await _advance_deals(connection, story, open_deals, stage, probability)
    return ids


async def _advance_deals(
    connection: asyncpg.Connection,
    story: _Story,
    deals: list[tuple[int, datetime]],
    stage: Stage,
    probability: int,
) -> list[tuple[int, datetime]]:
    """Move each deal to the stage, lose it, or leave it where it is when its time is up; returns those that go on."""
    moves: list[Move] = []
    for id, at in deals:
        lost = story.dice.random() < 0.16
        when = at + timedelta(days=story.dice.randint(4, 45))
        if when >= story.now:
            continue
        end = when.date() if lost or stage is Stage.CLOSED_WON else None
        values: tuple[str, int, date | None] = (Stage.CLOSED_LOST, 10, end) if lost else (stage, probability, end)
        moves.append(Move(id=id, values=values, at=when))
    await connection.execute(
        """UPDATE crm_opportunities SET stage = move.stage, probability = move.probability,
                  actual_close_date = move.closed, last_activity_date = move.at, updated_at = move.at
           FROM unnest($1::bigint[], $2::text[], $3::int[], $4::date[], $5::timestamptz[])
                AS move (id, stage, probability, closed, at)
           WHERE crm_opportunities.id = move.id""",
        *_columns(moves, width=3),
    )
    return [(m.id, m.at) for m in moves if m.values[0] is not Stage.CLOSED_LOST]


def _columns(moves: Sequence[Move], width: int = 2) -> list[list[Any]]:
    """Moves as the arrays of an unnest: ids, each value, times."""
    return [[m.id for m in moves], *([m.values[n] for m in moves] for n in range(width)), [m.at for m in moves]]


async def _tasks(
    connection: asyncpg.Connection,
    story: _Story,
    staff: list[int],
    contacts: list[tuple[int, str]],
    leads: list[int],
    deals: list[int],
) -> None:
    rows = []
    for _ in range(TASKS):
        kind, at = story.dice.choice(list(TaskType)), story.past()
        about = story.dice.choice(("contact", "lead", "opportunity"))
        contact, firm = story.dice.choice(contacts)
        title = f"{kind.value.replace('_', ' ').capitalize()}: {firm}"
        due = at + timedelta(days=story.dice.randint(1, 45))
        rows.append(
            (
                title,
                kind,
                story.dice.choice(list(Priority)),
                story.dice.choice(staff),
                story.dice.choice(staff),
                due,
                contact if about == "contact" else None,
                story.dice.choice(leads) if about == "lead" else None,
                story.dice.choice(deals) if about == "opportunity" else None,
                at,
                at,
            )
        )
    ids = await _insert(
        connection,
        "crm_tasks",
        "title, task_type, priority, assigned_to_id, created_by_id, due_date, contact_id, lead_id, opportunity_id, "
        "created_at, updated_at",
        rows,
    )
    done = [
        Move(id=id, values=(TaskStatus.COMPLETED,), at=story.later(row[-1], 30))
        for id, row in zip(ids, rows, strict=True)
        if story.dice.random() < 0.65
    ]
    await connection.execute(
        """UPDATE crm_tasks SET status = move.status, completed_at = move.at, updated_at = move.at
           FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS move (id, status, at)
           WHERE crm_tasks.id = move.id""",
        *_columns(done, width=1),
    )
