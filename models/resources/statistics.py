"""Numbers over a list: of the records a viewer may see, narrowed as the list itself can be. One query each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from models import database
from models.access import Viewer
from models.contacts import ContactType
from models.leads import LeadStatus, Priority
from models.opportunities import Stage
from models.resources.conditions import Conditions
from models.resources.tasks import OVERDUE
from models.tasks import TaskStatus

#: From this score on a lead counts as a high one.
HIGH_SCORE = 75
#: Statuses of contacts, which are free text, that are counted: the most frequent ones.
MOST_STATUSES = 100

Row = Mapping[str, Any]


async def leads(conditions: Conditions, viewer: Viewer) -> dict[str, Any]:
    """How many leads, by status and priority, the viewer's own, those with a high score."""
    rows = await database.query(
        f"""SELECT status, priority, count(*) AS count,
                   count(*) FILTER (WHERE assigned_to_id = {viewer.id}) AS mine,
                   count(*) FILTER (WHERE lead_score >= {HIGH_SCORE}) AS high
            FROM crm_leads WHERE {conditions.sql} GROUP BY status, priority""",
        conditions.values,
    )
    return {
        "total": _sum(rows, "count"),
        "by_status": _by(rows, "status", LeadStatus),
        "by_priority": _by(rows, "priority", Priority),
        "assigned_to_me": _sum(rows, "mine"),
        "high_score": _sum(rows, "high"),
    }


async def contacts(conditions: Conditions, _viewer: Viewer) -> dict[str, Any]:
    """How many contacts, by type, and by the most frequent statuses."""
    most = 1 + len(ContactType) + MOST_STATUSES
    rows = await database.query(
        f"""SELECT contact_type, status, grouping(contact_type, status) AS level, count(*) AS count
            FROM crm_contacts WHERE {conditions.sql} GROUP BY GROUPING SETS ((), (contact_type), (status))
            ORDER BY grouping(contact_type, status) = 2, count DESC, status LIMIT {most}""",
        conditions.values,
    )
    return {
        "total": _sum([row for row in rows if row["level"] == 3], "count"),
        "by_type": _by([row for row in rows if row["level"] == 1], "contact_type", ContactType),
        "by_status": {row["status"]: row["count"] for row in rows if row["level"] == 2},
    }


async def pipeline(conditions: Conditions, _viewer: Viewer) -> dict[str, Any]:
    """Deals, their amounts and weighted amounts by stage; amounts as the numbers of any currency."""
    rows = await database.query(
        f"""SELECT stage, count(*) AS count, sum(amount) AS total_value,
                   sum(round(amount * probability / 100, 2)) AS weighted_value
            FROM crm_opportunities WHERE {conditions.sql} GROUP BY stage""",
        conditions.values,
    )
    found = {row["stage"]: row for row in rows}
    return {
        "total_value": float(_sum(rows, "total_value")),
        "total_weighted_value": float(_sum(rows, "weighted_value")),
        "by_stage": {stage.value: _stage(found.get(stage.value, {})) for stage in Stage},
    }


async def tasks(conditions: Conditions, viewer: Viewer) -> dict[str, Any]:
    """How many tasks, by status, the viewer's own, those overdue."""
    rows = await database.query(
        f"""SELECT status, count(*) AS count,
                   count(*) FILTER (WHERE assigned_to_id = {viewer.id}) AS mine,
                   count(*) FILTER (WHERE {OVERDUE.condition}) AS overdue
            FROM crm_tasks WHERE {conditions.sql} GROUP BY status""",
        conditions.values,
    )
    return {
        "total": _sum(rows, "count"),
        "by_status": _by(rows, "status", TaskStatus),
        "assigned_to_me": _sum(rows, "mine"),
        "overdue": _sum(rows, "overdue"),
    }


async def duties(conditions: Conditions) -> dict[str, Any]:
    """Tasks by status, and of those still to be done the overdue ones, those due today and this week, in UTC."""
    today, week = (f"date_trunc('{u}', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'" for u in ("day", "week"))
    still = f"status IN ('{TaskStatus.PENDING}', '{TaskStatus.IN_PROGRESS}') AND due_date"
    rows = await database.query(
        f"""SELECT status, count(*) AS count,
                   count(*) FILTER (WHERE {OVERDUE.condition}) AS overdue,
                   count(*) FILTER (WHERE {still} >= {today} AND due_date < {today} + interval '1 day') AS today,
                   count(*) FILTER (WHERE {still} >= {week} AND due_date < {week} + interval '7 days') AS week
            FROM crm_tasks WHERE {conditions.sql} GROUP BY status""",
        conditions.values,
    )
    return {
        "by_status": _by(rows, "status", TaskStatus),
        **{name: _sum(rows, name) for name in ("overdue", "today", "week")},
    }


def _stage(row: Row) -> dict[str, Any]:
    return {
        "count": row.get("count", 0),
        "total_value": float(row.get("total_value", 0)),
        "weighted_value": float(row.get("weighted_value", 0)),
    }


def _sum(rows: Sequence[Row], column: str) -> Any:
    return sum(row[column] for row in rows)


def _by(rows: Sequence[Row], column: str, words: type[StrEnum]) -> dict[str, int]:
    """The count of each word, 0 where there is none."""
    counts = dict.fromkeys((word.value for word in words), 0)
    for row in rows:
        counts[row[column]] += row["count"]
    return counts
