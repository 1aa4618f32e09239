"""Random programs of writes, each a list of transactions, for the proof that capture misses and invents nothing.

A step is a function of a transaction and two numbers, from which it picks what to do, so that hypothesis can shrink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
from hypothesis import strategies as st
from tortoise.exceptions import BaseORMException

from models import database as databases
from models.contacts import Contact
from models.database import Context
from models.leads import Lead, LeadStatus
from models.opportunities import Opportunity
from models.tasks import Task
from models.users import User

Run = Callable[[str], Awaitable[Any]]
Step = Callable[[Any, int, int], Awaitable[Any]]

STATUSES = list(LeadStatus)


class Undone(Exception):
    """Thrown to roll a transaction or a savepoint back."""


@dataclass(frozen=True)
class Transaction:
    """Steps that run together. `raw` uses a plain connection, otherwise Tortoise."""

    raw: bool
    steps: tuple[tuple[str, int, int], ...]
    commit: bool
    #: How many of the last steps stand in a savepoint, and whether that is rolled back.
    inner: int
    keep_inner: bool


# -- steps of both kinds: `run` executes one SQL statement


async def insert_users(run: Run, a: int, b: int) -> None:
    await run(
        "INSERT INTO crm_users (username, email, password, two_factor_secret) "
        f"SELECT gen_random_uuid(), 'u@x', 'secret-' || n, 'totp' FROM generate_series(1, {a % 3 + 1}) AS n"
    )


async def change_secret(run: Run, a: int, b: int) -> None:
    await run(f"UPDATE crm_users SET password = 'secret-{b}', last_login = now() WHERE id % {a % 3 + 1} = 0")


async def rename_users(run: Run, a: int, b: int) -> None:
    await run(f"UPDATE crm_users SET first_name = 'n{b}', two_factor_secret = 'totp{b}' WHERE id % {a % 4 + 1} = 0")


async def delete_users(run: Run, a: int, b: int) -> None:
    await run(f"DELETE FROM crm_users WHERE id IN (SELECT id FROM crm_users ORDER BY id LIMIT {a % 3})")


async def insert_leads(run: Run, a: int, b: int) -> None:
    await run(
        "INSERT INTO crm_leads (first_name, last_name, email, owner_id, assigned_to_id, estimated_value) "
        f"SELECT 'a', 'b', 'é@x', (SELECT max(id) FROM crm_users), (SELECT {'max' if a % 2 else 'min'}(id) "
        f"FROM crm_users), {b}.5 FROM generate_series(1, {a % 5})"
    )


async def update_leads(run: Run, a: int, b: int) -> None:
    await run(f"UPDATE crm_leads SET status = '{STATUSES[b % 6]}', tags = '[{b}]' WHERE id % {a % 4 + 1} = 0")


async def change_nothing(run: Run, a: int, b: int) -> None:
    await run("UPDATE crm_leads SET status = status, updated_at = updated_at")


async def move_keys(run: Run, a: int, b: int) -> None:
    await run(f"UPDATE crm_leads SET id = nextval('crm_leads_id_seq') WHERE id % {a % 4 + 1} = 0")


async def shift_keys(run: Run, a: int, b: int) -> None:
    # May run into its own keys and fail; where it does not, one row's new key is another's old one.
    await run(f"UPDATE crm_leads SET id = id - {a % 2 + 1} WHERE id > {b}")


async def delete_leads(run: Run, a: int, b: int) -> None:
    await run(f"DELETE FROM crm_leads WHERE id % {a % 4 + 2} = {b % 2}")


async def insert_again(run: Run, a: int, b: int) -> None:
    await run("DELETE FROM crm_leads WHERE id = (SELECT min(id) FROM crm_leads)")
    await run(f"INSERT INTO crm_leads (id, first_name, last_name, email) VALUES ({a % 40 + 1}, 'again', 'b', 'c')")


async def two_in_one(run: Run, a: int, b: int) -> None:
    await run(
        "WITH one AS (UPDATE crm_leads SET notes = 'one' WHERE id % 2 = 0 RETURNING id), "
        f"two AS (INSERT INTO crm_leads (first_name, last_name, email) VALUES ('w', '{a}', 'e') RETURNING id), "
        f"three AS (DELETE FROM crm_leads WHERE id % 7 = {b % 7} AND id % 2 = 1 RETURNING id) "
        f"UPDATE crm_leads SET notes = 'main{b}' WHERE id % 2 = 1"
    )


async def merge(run: Run, a: int, b: int) -> None:
    await run(
        f"MERGE INTO crm_leads USING (SELECT n FROM generate_series({a % 20}, {a % 20 + 6}) AS n) AS source "
        "ON crm_leads.id = source.n "
        "WHEN MATCHED AND n % 3 = 0 THEN DELETE "
        f"WHEN MATCHED THEN UPDATE SET job_title = 'm{b}' "
        f"WHEN NOT MATCHED THEN INSERT (id, first_name, last_name, email) VALUES (n - {b % 3}, 'm', 'm', 'm')"
    )


async def remove_and_use_again(run: Run, a: int, b: int) -> None:
    # Refused: Postgres may fire the trigger of the INSERT before that of the DELETE.
    await run(
        f"WITH gone AS (DELETE FROM crm_leads WHERE id % 2 = {b % 2} RETURNING *) "
        "INSERT INTO crm_leads (id, first_name, last_name, email) "
        f"SELECT id, 'again', 'x', 'y' FROM gone LIMIT {a % 3 + 1}"
    )


async def upsert_contacts(run: Run, a: int, b: int) -> None:
    await run(
        "INSERT INTO crm_contacts (first_name, last_name, email, created_by_id) "
        f"SELECT 'c', 'd{b}', 'c' || n, (SELECT max(id) FROM crm_users) "
        f"FROM generate_series({a % 4}, {a % 4 + 3}) AS n "
        "ON CONFLICT (email) DO UPDATE SET last_name = excluded.last_name"
    )


async def insert_below(run: Run, a: int, b: int) -> None:
    await run(
        "INSERT INTO crm_opportunities (name, contact_id, amount, expected_close_date, owner_id, assigned_to_id) "
        f"SELECT 'o', id, {b}, '2030-01-01', (SELECT min(id) FROM crm_users), (SELECT min(id) FROM crm_users) "
        "FROM crm_contacts"
    )
    await run(
        "INSERT INTO crm_tasks (title, assigned_to_id, created_by_id, contact_id, opportunity_id, lead_id) SELECT "
        "'t', id, id, (SELECT min(id) FROM crm_contacts), (SELECT max(id) FROM crm_opportunities), "
        "(SELECT max(id) FROM crm_leads) FROM crm_users"
    )
    await run("INSERT INTO crm_follows (user_id, object_type, object_id) SELECT id, 'lead', '1' FROM crm_users")
    await run(
        "INSERT INTO crm_activities (actor_id, action, object_type, object_id) "
        "SELECT id, 'commented', 'lead', '1' FROM crm_users"
    )


async def move_activities(run: Run, a: int, b: int) -> None:
    await run(f"UPDATE crm_activities SET object_id = '{b}', description = 'd{a}'")


async def delete_contacts(run: Run, a: int, b: int) -> None:
    await run(f"DELETE FROM crm_contacts WHERE id % {a % 3 + 1} = 0")


ANYWHERE: dict[str, Step] = {
    step.__name__: step
    for step in (
        insert_users,
        change_secret,
        rename_users,
        delete_users,
        insert_leads,
        update_leads,
        change_nothing,
        move_keys,
        shift_keys,
        delete_leads,
        insert_again,
        two_in_one,
        merge,
        remove_and_use_again,
        upsert_contacts,
        insert_below,
        move_activities,
        delete_contacts,
    )
}


# -- steps of Tortoise alone


async def orm_create(run: Run, a: int, b: int) -> None:
    user = await User.create(username=f"orm-{a}-{b}-{id(object())}", email="o@x", password="secret-orm")
    await Lead.create(first_name="o", last_name="r", email="m", owner=user, assigned_to=user, custom_fields={"a": [a]})
    await Task.create(title="t", assigned_to=user)


async def orm_save(run: Run, a: int, b: int) -> None:
    for lead in await Lead.all().order_by("id").limit(a % 4):
        lead.lead_score = b % 100
        await lead.save()
        await lead.save()


async def orm_update(run: Run, a: int, b: int) -> None:
    await Lead.filter(id__gt=a).update(notes=f"n{b}")
    await Task.all().update(title=f"t{a}")


async def orm_bulk(run: Run, a: int, b: int) -> None:
    await Lead.bulk_create([Lead(first_name=str(n), last_name="bulk", email="b") for n in range(a % 6)])
    leads = await Lead.all().limit(b % 5)
    for lead in leads:
        lead.job_title = f"j{a}"
    if leads:
        await Lead.bulk_update(leads, ["job_title"])


async def orm_delete(run: Run, a: int, b: int) -> None:
    await Opportunity.filter(id__lt=a).delete()
    if contact := await Contact.first():
        await contact.delete()


ORM: dict[str, Step] = {
    **ANYWHERE,
    **{step.__name__: step for step in (orm_create, orm_save, orm_update, orm_bulk, orm_delete)},
}


# -- steps of a plain connection alone


async def copy(run: Any, a: int, b: int) -> None:
    await run.__self__.copy_records_to_table(
        "crm_leads", columns=["first_name", "last_name", "email"], records=[("cp", str(n), "y") for n in range(a % 50)]
    )


RAW: dict[str, Step] = {**ANYWHERE, "copy": copy}

numbers = st.integers(0, 60)


def _transactions(raw: bool) -> st.SearchStrategy[Transaction]:
    step = st.tuples(st.sampled_from(sorted(RAW if raw else ORM)), numbers, numbers)
    return st.builds(
        Transaction,
        raw=st.just(raw),
        steps=st.lists(step, min_size=1, max_size=6).map(tuple),
        commit=st.sampled_from([True, True, True, False]),
        inner=st.integers(0, 3),
        keep_inner=st.booleans(),
    )


programs = st.lists(st.one_of(_transactions(True), _transactions(False)), min_size=1, max_size=8)

#: What a step may run into: its own keys, a deadlock, a row that went away. The transaction is then rolled back.
EXPECTED = (asyncpg.exceptions.PostgresError, BaseORMException, Undone)


async def execute(pool: asyncpg.Pool, transaction: Transaction) -> bool:
    """Run one transaction; whether it was committed."""
    try:
        if transaction.raw:
            async with databases.change(pool, Context(source="test", actor=7)) as connection:
                await _steps(transaction, RAW, connection.execute, connection.transaction)
        else:
            async with databases.transaction(Context(source="test", actor=7)) as client:
                await _steps(transaction, ORM, client.execute_query, lambda: databases.transaction(Context(actor=8)))
    except EXPECTED:
        return False
    return True


async def _steps(transaction: Transaction, named: dict[str, Step], run: Any, savepoint: Callable[[], Any]) -> None:
    split = len(transaction.steps) - transaction.inner
    for name, a, b in transaction.steps[: max(split, 0)]:
        await named[name](run, a, b)
    try:
        async with savepoint():
            for name, a, b in transaction.steps[max(split, 0) :]:
                await named[name](run, a, b)
                await asyncio.sleep(0)
            if not transaction.keep_inner:
                raise Undone
    except EXPECTED:
        pass
    if not transaction.commit:
        raise Undone
