"""Capture: the database itself writes every change of a business table to `events`, in the same transaction.

Statement triggers with transition tables see ORM saves, bulk updates, raw SQL, COPY and cascades alike. Old and new
rows are paired by position, because keys can change and a row stands twice in a transition table when one statement
reaches it by two foreign keys. Nothing is written where nothing but excluded columns changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Captured:
    """One table whose changes become events `<entity>.created|updated|deleted`, subject `<entity>:<id>`."""

    table: str
    entity: str
    topic: str = "crm.changes"
    #: The two columns of the record key `<type>:<id>`; None for the row itself.
    key: tuple[str, str] | None = None
    #: Columns that reach no event.
    excluded: tuple[str, ...] = ()


CAPTURED = (
    Captured(
        table="crm_users",
        entity="user",
        excluded=("password", "two_factor_secret", "last_login", "last_login_ip"),
    ),
    Captured(table="crm_user_profiles", entity="user_profile"),
    Captured(table="crm_leads", entity="lead"),
    Captured(table="crm_contacts", entity="contact"),
    Captured(table="crm_opportunities", entity="opportunity"),
    Captured(table="crm_opportunity_stages", entity="opportunity_stage"),
    Captured(table="crm_tasks", entity="task"),
    Captured(table="crm_activities", entity="activity", topic="crm.activities", key=("object_type", "object_id")),
    Captured(table="crm_follows", entity="follow"),
    Captured(table="notification_reads", entity="notification_read"),
)

#: Tables that are not captured, because they are derived from events or are the machinery itself.
NOT_CAPTURED = frozenset(
    {
        "notifications",
        "audit_trail",
        "field_history",
        "timeline",
        "jobs",
        "idempotency_keys",
        "refresh_tokens",
        "events",
        "logs",
        "log_partitions",
        "relay_marks",
        "agent_progress",
        "dead_events",
        "channel_snapshots",
        "resend_requests",
        "tortoise_migrations",
    }
)

#: Who, from where, for which request. What is not of the right type refuses the write, so that no reader meets it.
CONTEXT_FUNCTION = """
CREATE OR REPLACE FUNCTION hub_context() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    given jsonb := coalesce(nullif(current_setting('hub.context', true), ''), '{}')::jsonb;
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'actor', (given ->> 'actor')::bigint,
        'ip', host((given ->> 'ip')::inet),
        'user_agent', left(given ->> 'user_agent', 1000),
        'request_id', (given ->> 'request_id')::uuid,
        'source', coalesce(left(given ->> 'source', 50), 'sql'),
        'role', session_user));
END $$
"""

# A key that one WITH or MERGE statement removes and uses again is refused: where Postgres need not read the DELETE to
# its end before the INSERT is done, it fires the trigger of the INSERT first.
#
# The settings: a join of transition tables by nested loop takes minutes (they have no statistics); times in images
# are UTC whatever the session says; a temporary table named `events` must not catch what is meant for the real one.
CAPTURE_FUNCTION = """
CREATE OR REPLACE FUNCTION hub_capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET enable_nestloop = off SET timezone = 'UTC' SET search_path = public, pg_temp AS $$
DECLARE
    entity text := TG_ARGV[0];
    excluded text[] := TG_ARGV[4]::text[];
    context jsonb := hub_context();
    reused boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (topic, key, type, subject, data, context)
        SELECT TG_ARGV[1],
               coalesce(image ->> TG_ARGV[2], entity) || ':' || (image ->> TG_ARGV[3]),
               entity || '.created',
               entity || ':' || (image ->> 'id'),
               jsonb_build_object('before', NULL, 'after', image),
               context
        FROM (SELECT to_jsonb(new_row) - excluded AS image FROM new_rows AS new_row) AS rows;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO events (topic, key, type, subject, data, context)
        SELECT TG_ARGV[1],
               coalesce(image ->> TG_ARGV[2], entity) || ':' || (image ->> TG_ARGV[3]),
               entity || '.deleted',
               entity || ':' || (image ->> 'id'),
               jsonb_build_object('before', image, 'after', NULL),
               context
        FROM (SELECT to_jsonb(old_row) - excluded AS image FROM old_rows AS old_row) AS rows;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I AS now WHERE now.id = ANY (ARRAY(SELECT id FROM old_rows)))',
                       TG_TABLE_NAME) INTO reused;
    ELSE
        INSERT INTO events (topic, key, type, subject, data, context)
        SELECT TG_ARGV[1],
               coalesce(image ->> TG_ARGV[2], entity) || ':' || (image ->> TG_ARGV[3]),
               entity || suffix,
               entity || ':' || (image ->> 'id'),
               jsonb_build_object('before', before, 'after', after),
               context
        FROM (
            SELECT old_position AS position, old_image, new_image,
                   old_image ->> 'id' = new_image ->> 'id'
                       AND coalesce(old_image ->> TG_ARGV[2], '') = coalesce(new_image ->> TG_ARGV[2], '')
                       AND old_image ->> TG_ARGV[3] = new_image ->> TG_ARGV[3] AS same_key
            FROM (SELECT row_number() OVER () AS old_position, to_jsonb(old_row) - excluded AS old_image
                  FROM old_rows AS old_row) AS olds
            JOIN (SELECT row_number() OVER () AS new_position, to_jsonb(new_row) - excluded AS new_image
                  FROM new_rows AS new_row) AS news ON old_position = new_position
            WHERE old_image <> new_image
        ) AS pairs
        CROSS JOIN LATERAL (
            SELECT '.updated' AS suffix, old_image AS before, new_image AS after, new_image AS image, 0 AS part
            WHERE same_key
            UNION ALL
            SELECT '.deleted', old_image, NULL, old_image, 1 WHERE NOT same_key
            UNION ALL
            SELECT '.created', NULL, new_image, new_image, 2 WHERE NOT same_key
        ) AS parts
        ORDER BY position, part;
        IF EXISTS (SELECT id FROM old_rows EXCEPT SELECT id FROM new_rows) THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I AS now WHERE now.id = ANY (
                                ARRAY(SELECT id FROM old_rows EXCEPT SELECT id FROM new_rows)))',
                           TG_TABLE_NAME) INTO reused;
        END IF;
    END IF;
    IF reused THEN
        RAISE EXCEPTION 'one statement may not remove a key of % and use it again: capture could not tell their order',
            TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$
"""

REFUSE_FUNCTION = """
CREATE OR REPLACE FUNCTION hub_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % is refused: its rows would vanish without a record. Use DELETE.', TG_TABLE_NAME;
END $$
"""

# An update that names no time of its own is stamped; one that changes nothing else is not.
TOUCH_FUNCTION = """
CREATE OR REPLACE FUNCTION hub_touch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named timestamptz := NEW.updated_at;
BEGIN
    NEW.updated_at := OLD.updated_at;
    IF NEW IS DISTINCT FROM OLD THEN
        NEW.updated_at := CASE WHEN named IS DISTINCT FROM OLD.updated_at THEN named ELSE now() END;
    END IF;
    RETURN NEW;
END $$
"""

FUNCTIONS = (CONTEXT_FUNCTION, CAPTURE_FUNCTION, REFUSE_FUNCTION, TOUCH_FUNCTION)


def triggers(table: str) -> Iterable[str]:
    """Statements for the migration that begins to capture a table, or captures it differently from then on."""
    captured = next(c for c in CAPTURED if c.table == table)
    type_column, id_column = captured.key or ("", "id")
    arguments = f"'{captured.entity}', '{captured.topic}', '{type_column}', '{id_column}', "
    arguments += f"'{{{','.join(captured.excluded)}}}'"
    seen = {
        "INSERT": "NEW TABLE AS new_rows",
        "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "DELETE": "OLD TABLE AS old_rows",
    }
    for operation, rows in seen.items():
        yield (
            f"CREATE OR REPLACE TRIGGER hub_capture_{operation.lower()} AFTER {operation} ON {table} "
            f"REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION hub_capture({arguments})"
        )
    yield (
        f"CREATE OR REPLACE TRIGGER hub_refuse_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse_truncate()"
    )


def touch(table: str) -> str:
    """The statement that keeps a table's `updated_at`."""
    return (
        f"CREATE OR REPLACE TRIGGER hub_touch BEFORE UPDATE ON {table} FOR EACH ROW "
        "WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION hub_touch()"
    )
