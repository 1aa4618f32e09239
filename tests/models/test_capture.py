"""What capture says by name: each rule of `models/capture.py` once, in plain SQL."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from engines.postgres import Postgres
from models import database as databases
from models.capture import CAPTURED, FUNCTIONS, NOT_CAPTURED, statements
from models.database import Context
from tests.models.conftest import Store

LEAD = "INSERT INTO crm_leads (first_name, last_name, email) VALUES ('a', 'b', 'c') RETURNING id"


@pytest.fixture
async def lead(store: Store) -> int:
    """The id of a lead, its event behind us."""
    return int(await store.pool.fetchval(LEAD))


def brief(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Type and subject of events."""
    return [(event["type"], event["subject"]) for event in events]


async def test_every_business_table_is_captured(store: Store) -> None:
    tables = await store.pool.fetch(
        """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
           AND relkind IN ('r', 'p') AND NOT relispartition"""
    )
    assert {row["relname"] for row in tables} == {captured.table for captured in CAPTURED} | NOT_CAPTURED


async def test_what_is_in_force_is_what_is_declared(store: Store) -> None:
    """A changed declaration needs a migration; this is what notices that it is missing."""
    select = """SELECT coalesce(string_agg(pg_get_triggerdef(oid), E'\n' ORDER BY tgrelid::regclass::text, tgname), '')
                    || (SELECT string_agg(pg_get_functiondef(oid), E'\n' ORDER BY proname) FROM pg_proc
                        WHERE proname LIKE 'hub\\_%' AND proname <> 'hub_schema')
                FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'hub\\_%' AND tgenabled = 'O'"""
    in_force = await store.pool.fetchval(select)
    for captured in CAPTURED:
        for statement in statements(captured.table):
            await store.pool.execute(statement)
    for function in FUNCTIONS:
        await store.pool.execute(function)
    assert await store.pool.fetchval(select) == in_force
    assert in_force.count("CREATE TRIGGER hub_capture_") == 3 * len(CAPTURED)


async def test_deleting_a_user_who_owns_and_is_assigned_a_lead_gives_two_right_events(store: Store) -> None:
    user = await store.user()
    await store.pool.execute(
        "INSERT INTO crm_leads (first_name, last_name, email, owner_id, assigned_to_id) VALUES ('a', 'b', 'c', $1, $1)",
        user.id,
    )
    before = await store.last()
    await store.pool.execute("DELETE FROM crm_users WHERE id = $1", user.id)
    events = await store.events(after=before)
    assert events[0]["type"] == "user.deleted"
    first, second = (event["data"] for event in events[1:])
    assert [event["type"] for event in events[1:]] == ["lead.updated", "lead.updated"]
    owners = [(row["owner_id"], row["assigned_to_id"]) for row in (first["before"], first["after"], second["after"])]
    assert owners in (
        [(user.id, user.id), (None, user.id), (None, None)],
        [(user.id, user.id), (user.id, None), (None, None)],
    )
    assert first["after"] == second["before"]


async def test_no_secret_reaches_an_event(store: Store) -> None:
    user = await store.user(password="hash-of-it", two_factor_secret="totp-of-it")
    await store.pool.execute("UPDATE crm_users SET password = 'hash-2', phone = '1', last_login_ip = '10.1.2.3'")
    await store.pool.execute("DELETE FROM crm_users WHERE id = $1", user.id)
    assert brief(await store.events()) == [(f"user.{what}", "user:1") for what in ("created", "updated", "deleted")]
    text = await store.pool.fetchval("SELECT string_agg(row_to_json(e)::text, ' ') FROM events e")
    for secret in ("hash", "totp", "password", "two_factor_secret", "10.1.2.3", "last_login"):
        assert secret not in text


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE crm_leads SET status = status",
        "UPDATE crm_leads SET updated_at = updated_at",
        "UPDATE crm_leads SET updated_at = now()",
        "UPDATE crm_leads SET estimated_value = NULL, tags = '[ ]'",
        "UPDATE crm_leads SET status = 'lost' WHERE false",
        "UPDATE crm_users SET password = 'another', last_login = now()",
        "DELETE FROM crm_leads WHERE false",
    ],
)
async def test_what_changes_nothing_leaves_nothing(store: Store, lead: int, statement: str) -> None:
    await store.user()
    before = await store.last()
    row = await store.pool.fetchrow("SELECT * FROM crm_leads")
    await store.pool.execute(statement)
    assert await store.events(after=before) == []
    assert await store.pool.fetchrow("SELECT * FROM crm_leads") == row


async def test_a_rollback_leaves_nothing(store: Store, lead: int) -> None:
    before = await store.last()
    async with store.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE crm_leads SET status = 'lost'")
        await transaction.rollback()
    assert await store.events(after=before) == []


async def test_a_changed_key_is_a_delete_and_a_create(store: Store, lead: int) -> None:
    before = await store.last()
    await store.pool.execute("UPDATE crm_leads SET id = 77, status = 'lost'")
    gone, come = await store.events(after=before)
    assert (gone["type"], gone["key"], gone["data"]["after"]) == ("lead.deleted", f"lead:{lead}", None)
    assert (come["type"], come["key"], come["data"]["before"]) == ("lead.created", "lead:77", None)
    assert gone["data"]["before"]["status"] == "new"
    assert come["data"]["after"]["status"] == "lost"


@pytest.mark.parametrize(
    "statement",
    [
        "WITH gone AS (DELETE FROM crm_leads RETURNING *) INSERT INTO crm_leads SELECT * FROM gone LIMIT 1",
        "MERGE INTO crm_leads USING (VALUES (1, 1), (9, 1)) AS s (old, new) ON crm_leads.id = s.old "
        "WHEN MATCHED THEN DELETE "
        "WHEN NOT MATCHED THEN INSERT (id, first_name, last_name, email) VALUES (s.new, 'm', 'm', 'm')",
        "MERGE INTO crm_leads USING (VALUES (1, 1), (9, 1)) AS s (old, new) ON crm_leads.id = s.old "
        "WHEN MATCHED THEN UPDATE SET id = 50 "
        "WHEN NOT MATCHED THEN INSERT (id, first_name, last_name, email) VALUES (s.new, 'm', 'm', 'm')",
    ],
)
async def test_a_statement_that_removes_a_key_and_uses_it_again_is_refused(
    store: Store, lead: int, statement: str
) -> None:
    await store.pool.execute(LEAD)
    before = await store.last()
    with pytest.raises(asyncpg.exceptions.RaiseError, match="remove a key of crm_leads and use it again"):
        await store.pool.execute(statement)
    assert await store.events(after=before) == []


@pytest.mark.parametrize("captured", CAPTURED, ids=lambda captured: captured.table)
async def test_truncate_is_refused(store: Store, captured: Any) -> None:
    await store.pool.execute(LEAD)
    with pytest.raises(asyncpg.exceptions.RaiseError, match=f"TRUNCATE of {captured.table} is refused"):
        await store.pool.execute(f"TRUNCATE {captured.table} CASCADE")
    assert await store.pool.fetchval("SELECT count(*) FROM crm_leads") == 1


async def test_events_say_who_from_where_and_for_which_request(store: Store) -> None:
    context = Context(actor=42, ip="2001:db8::1", user_agent="curl/8 \udc80\0é", source="api")
    async with databases.change(store.pool, context) as connection:
        await connection.execute(LEAD)
    await store.pool.execute(LEAD)
    role = await store.pool.fetchval("SELECT session_user")
    told, raw = await store.events()
    assert told["context"] == {
        "actor": 42,
        "ip": "2001:db8::1",
        "user_agent": "curl/8 ?é",
        "request_id": context.request_id,
        "source": "api",
        "role": role,
    }
    assert raw["context"] == {"source": "sql", "role": role}
    schema = await store.pool.fetchval("SELECT hub_schema()")
    assert (told["topic"], told["key"], told["schema"]) == ("crm.changes", "lead:1", schema)


@pytest.mark.parametrize(
    "context", ["nonsense", '{"actor": "bob"}', '{"ip": "here"}', '{"request_id": 7}', '{"actor": {"a": 1}}']
)
async def test_a_context_no_reader_could_use_refuses_the_write(store: Store, context: str) -> None:
    async with store.pool.acquire() as connection:
        await connection.execute("SELECT set_config('hub.context', $1, false)", context)
        with pytest.raises(asyncpg.exceptions.DataError):
            await connection.execute(LEAD)
    assert await store.events() == []


async def test_a_temporary_table_does_not_catch_the_events(store: Store) -> None:
    async with store.pool.acquire() as connection:
        await connection.execute("CREATE TEMP TABLE events (LIKE public.events INCLUDING ALL)")
        await connection.execute(LEAD)
        assert await connection.fetchval("SELECT count(*) FROM pg_temp.events") == 0
        assert await connection.fetchval("SELECT count(*) FROM public.events") == 1


async def test_images_are_in_utc_whatever_the_session_says(store: Store) -> None:
    async with store.pool.acquire() as connection:
        await connection.execute("SET timezone = 'Asia/Kolkata'")
        await connection.execute(LEAD)
        assert await connection.fetchval("SHOW timezone") == "Asia/Kolkata"
    (event,) = await store.events()
    assert event["data"]["after"]["created_at"].endswith("+00:00")


async def test_activities_go_with_the_record_they_are_about(store: Store) -> None:
    made = "INSERT INTO crm_activities (action, object_type, object_id) VALUES ('commented', 'lead', '7') RETURNING id"
    subject = f"activity:{await store.pool.fetchval(made)}"
    await store.pool.execute("UPDATE crm_activities SET description = 'x'")
    await store.pool.execute("UPDATE crm_activities SET object_id = '8'")
    events = await store.events()
    assert {(event["topic"], event["subject"]) for event in events} == {("crm.activities", subject)}
    assert [(event["type"], event["key"]) for event in events] == [
        ("activity.created", "lead:7"),
        ("activity.updated", "lead:7"),
        ("activity.deleted", "lead:7"),
        ("activity.created", "lead:8"),
    ]


async def test_updated_at_is_kept_by_the_database(store: Store, lead: int) -> None:
    select = "SELECT created_at, updated_at, status FROM crm_leads"
    first = await store.pool.fetchrow(select)
    await store.pool.execute("UPDATE crm_leads SET status = 'contacted'")
    second = await store.pool.fetchrow(select)
    assert second["updated_at"] > first["updated_at"]
    await store.pool.execute("UPDATE crm_leads SET status = 'lost', updated_at = '2020-01-01T00:00:00Z'")
    assert (await store.pool.fetchrow(select))["updated_at"].year == 2020


@pytest.fixture
async def clerk(store: Store, postgres: Postgres) -> AsyncIterator[str]:
    """URL for a role that may write leads and knows nothing of events."""
    role, secret = f"clerk_{secrets.token_hex(4)}", secrets.token_hex(8)
    name = store.url.rpartition("/")[2]
    admin = await asyncpg.connect(postgres.url(name, admin=True))
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{secret}'")
    await admin.execute(
        f"GRANT SELECT, INSERT, UPDATE ON crm_leads TO {role}; GRANT USAGE ON crm_leads_id_seq TO {role}"
    )
    host = postgres.url(name).rpartition("@")[2]
    yield f"postgresql://{role}:{secret}@{host}"
    await admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    await admin.close()


async def test_a_role_without_rights_on_events_is_captured_too(store: Store, clerk: str) -> None:
    connection = await asyncpg.connect(clerk)
    await connection.execute(LEAD)
    await connection.execute("UPDATE crm_leads SET status = 'lost'")
    with pytest.raises(asyncpg.exceptions.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM events")
    role = await connection.fetchval("SELECT session_user")
    await connection.close()
    events = await store.events()
    assert brief(events) == [("lead.created", "lead:1"), ("lead.updated", "lead:1")]
    assert {event["context"]["role"] for event in events} == {role}
