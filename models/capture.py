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
        excluded=(
            "password",
            "two_factor_secret",
            "two_factor_step",
            "recovery_codes",
            "last_login",
            "last_login_ip",
        ),
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
    Captured(table="crm_custom_fields", entity="custom_field"),
    Captured(table="crm_custom_field_groups", entity="custom_field_group"),
    Captured(table="crm_custom_field_group_memberships", entity="custom_field_membership"),
    Captured(table="crm_files", entity="file", excluded=("unused_since",)),
    Captured(table="exports", entity="export"),
    Captured(table="crm_account_actions", entity="account_action"),
)

#: Tables that are not captured, because they are derived from events or are the machinery itself: that of signing in
#: too, whose rows are secrets or change all the time; what was done there stands in `crm_account_actions`.
NOT_CAPTURED = frozenset(
    {
        "notifications",
        "audit_trail",
        "field_history",
        "timeline",
        "lead_search",
        "contact_search",
        "opportunity_search",
        "task_search",
        "jobs",
        "custom_fields_version",
        # Files and their rows on the way in: what comes of them is captured where it comes to stand.
        "imports",
        "import_pieces",
        "import_rows",
        "import_changes",
        "idempotency_keys",
        "sign_ins",
        "password_resets",
        "throttles",
        "mails",
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

# One function for each table, so that Postgres can keep the plans of its statements.
#
# Its settings: a join of transition tables by nested loop takes minutes (they have no statistics), and a small
# work_mem would sort the rows of a bulk update on disk; times in images are UTC whatever the session says; a
# temporary table named `events` must not catch what is meant for the real one.
#
# A key that one WITH or MERGE statement removes and uses again is refused: where Postgres need not read the DELETE to
# its end before the INSERT is done, it fires the trigger of the INSERT first.
CAPTURE_FUNCTION = """
CREATE OR REPLACE FUNCTION hub_capture_{entity}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET enable_nestloop = off SET work_mem = '32MB' SET timezone = 'UTC' SET search_path = public, pg_temp AS $$
DECLARE
    context jsonb := hub_context();
    reused boolean := false;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (topic, key, type, subject, data, context)
        SELECT '{topic}', {new_key}, '{entity}.created', '{entity}:' || (after).id, {created}, context
        FROM (SELECT NULL AS before, new_row AS after FROM new_rows AS new_row) AS pair;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO events (topic, key, type, subject, data, context)
        SELECT '{topic}', {old_key}, '{entity}.deleted', '{entity}:' || (before).id, {deleted}, context
        FROM (SELECT old_row AS before, NULL AS after FROM old_rows AS old_row) AS pair;
        reused := EXISTS (SELECT FROM {table} AS now WHERE now.id = ANY (ARRAY(SELECT id FROM old_rows)));
    ELSE
        -- One row that keeps its key, the usual case, needs no join; whatever it is not goes the general way.
        IF (SELECT count(*) FROM (SELECT FROM old_rows LIMIT 2) AS few) = 1 THEN
            INSERT INTO events (topic, key, type, subject, data, context)
            SELECT '{topic}', {new_key}, '{entity}.updated', '{entity}:' || (after).id, {updated}, context
            FROM (SELECT old_row AS before, new_row AS after FROM old_rows AS old_row, new_rows AS new_row) AS pair
            WHERE {differ} AND (before).id = (after).id AND {old_key} = {new_key};
            IF FOUND THEN
                RETURN NULL;
            END IF;
        END IF;
        INSERT INTO events (topic, key, type, subject, data, context)
        SELECT '{topic}',
               CASE part WHEN 'deleted' THEN old_key ELSE new_key END,
               '{entity}.' || part,
               '{entity}:' || CASE part WHEN 'deleted' THEN old_id ELSE new_id END,
               CASE part WHEN 'updated' THEN data
                         WHEN 'deleted' THEN data || '{{"after": null}}'
                         ELSE data || '{{"before": null}}' END,
               context
        FROM (
            SELECT *, unnest(CASE WHEN old_id = new_id AND old_key = new_key THEN ARRAY['updated']
                                  ELSE ARRAY['deleted', 'created'] END) AS part
            FROM (
                SELECT (before).id AS old_id, (after).id AS new_id, {old_key} AS old_key, {new_key} AS new_key,
                       {updated} AS data
                FROM (
                    SELECT before, after
                    FROM (SELECT row_number() OVER () AS old_position, old_row AS before FROM old_rows AS old_row) AS o
                    JOIN (SELECT row_number() OVER () AS new_position, new_row AS after FROM new_rows AS new_row) AS n
                        ON old_position = new_position
                    WHERE before *<> after
                    ORDER BY old_position
                ) AS pair
                OFFSET 0
            ) AS pairs
            {unless_same}
        ) AS parts;
        IF (SELECT array_agg(id) FROM old_rows) <> (SELECT array_agg(id) FROM new_rows) THEN
            reused := EXISTS (SELECT FROM {table} AS now WHERE now.id = ANY (
                ARRAY(SELECT id FROM old_rows EXCEPT SELECT id FROM new_rows)));
        END IF;
    END IF;
    IF reused THEN
        RAISE EXCEPTION 'one statement may not remove a key of {table} and use it again'
            USING HINT = 'Use two statements: capture could not tell which came first.';
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

FUNCTIONS = (CONTEXT_FUNCTION, REFUSE_FUNCTION, TOUCH_FUNCTION)


def statements(table: str) -> Iterable[str]:
    """What a migration runs that begins to capture a table, or captures it differently from then on."""
    captured = next(c for c in CAPTURED if c.table == table)
    yield _function(captured)
    seen = {
        "INSERT": "NEW TABLE AS new_rows",
        "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "DELETE": "OLD TABLE AS old_rows",
    }
    for operation, rows in seen.items():
        yield (
            f"CREATE OR REPLACE TRIGGER hub_capture_{operation.lower()} AFTER {operation} ON {table} "
            f"REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION hub_capture_{captured.entity}()"
        )
    yield (
        f"CREATE OR REPLACE TRIGGER hub_refuse_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse_truncate()"
    )


def _function(captured: Captured) -> str:
    """The capture function of one table. Rows without excluded columns become JSON in one go, before and after."""
    if captured.excluded:
        without = f"'{{{','.join(captured.excluded)}}}'::text[]"
        before, after = f"to_jsonb(before) - {without}", f"to_jsonb(after) - {without}"
        created = f"jsonb_build_object('before', NULL, 'after', {after})"
        deleted = f"jsonb_build_object('before', {before}, 'after', NULL)"
        updated = f"jsonb_build_object('before', {before}, 'after', {after})"
        differ = f"{before} <> {after}"
        unless_same = "WHERE data -> 'before' <> data -> 'after'"
    else:
        created = deleted = updated = "to_jsonb(pair)"
        differ = "before *<> after"
        unless_same = ""
    if captured.key:
        keys = {row: " || ':' || ".join(f"({row}).{column}" for column in captured.key) for row in ("before", "after")}
    else:
        keys = {row: f"'{captured.entity}:' || ({row}).id" for row in ("before", "after")}
    return CAPTURE_FUNCTION.format(
        entity=captured.entity,
        table=captured.table,
        topic=captured.topic,
        old_key=keys["before"],
        new_key=keys["after"],
        created=created,
        deleted=deleted,
        updated=updated,
        differ=differ,
        unless_same=unless_same,
    )


def touch(table: str) -> str:
    """The statement that keeps a table's `updated_at`.

    Without a WHEN clause, which Postgres would read and prepare anew for every statement.
    """
    return f"CREATE OR REPLACE TRIGGER hub_touch BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION hub_touch()"
