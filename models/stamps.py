"""Dates that follow from a status: when a lead was converted, a deal closed, a task completed.

The database keeps them, so that they are right whoever changed the status: a request, a job, an import, plain SQL.
Reaching such a status sets the date unless there is one; leaving it clears the date unless the change names another.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.leads import LeadStatus
from models.opportunities import CLOSED
from models.tasks import TaskStatus


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """One such date."""

    table: str
    #: The column with the status, and the words of it that have the date.
    status: str
    reached: tuple[str, ...]
    #: The column with the date, and its value in SQL.
    date: str
    value: str
    #: A column with the time of the last change of the status, whichever it was.
    moved: str | None = None


STAMPS = (
    Stamp(
        table="crm_leads",
        status="status",
        reached=(LeadStatus.CONVERTED,),
        date="converted_at",
        value="now()",
    ),
    Stamp(
        table="crm_opportunities",
        status="stage",
        reached=CLOSED,
        date="actual_close_date",
        value="(now() AT TIME ZONE 'UTC')::date",
        moved="last_activity_date",
    ),
    Stamp(
        table="crm_tasks",
        status="status",
        reached=(TaskStatus.COMPLETED,),
        date="completed_at",
        value="now()",
    ),
)

FUNCTION = """
CREATE OR REPLACE FUNCTION hub_stamp_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.{status} = OLD.{status} THEN
            RETURN NEW;
        END IF;
        {moved}
        IF OLD.{status} IN ({reached}) AND NEW.{status} NOT IN ({reached}) THEN
            NEW.{date} := nullif(NEW.{date}, OLD.{date});
        END IF;
    END IF;
    IF NEW.{status} IN ({reached}) THEN
        NEW.{date} := coalesce(NEW.{date}, {value});
    END IF;
    RETURN NEW;
END $$
"""

MOVED = """IF NEW.{0} IS NOT DISTINCT FROM OLD.{0} THEN
            NEW.{0} := now();
        END IF;"""


def statements(stamp: Stamp) -> tuple[str, str]:
    """What a migration runs. The trigger comes before `hub_touch`, because triggers go by the alphabet."""
    function = FUNCTION.format(
        table=stamp.table,
        status=stamp.status,
        reached=", ".join(f"'{word}'" for word in stamp.reached),
        date=stamp.date,
        value=stamp.value,
        moved=MOVED.format(stamp.moved) if stamp.moved else "",
    )
    trigger = (
        f"CREATE OR REPLACE TRIGGER hub_stamp BEFORE INSERT OR UPDATE ON {stamp.table} "
        f"FOR EACH ROW EXECUTE FUNCTION hub_stamp_{stamp.table}()"
    )
    return function, trigger
