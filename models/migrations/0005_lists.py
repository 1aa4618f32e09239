"""Full-text search, and the indexes of lists."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

from models.search import SEARCHED, functions, statements

#: What lists are ordered by, for each table, each way where there may be nulls, which are last; and what they are most
#: narrowed to, by which a list is gone through in the index alone.
ORDERED = {
    "leads": (
        "status, assigned_to_id, owner_id",
        {
            "created": "created_at, id",
            "updated": "updated_at, id",
            "score": "lead_score, id",
            "value": "estimated_value, id",
            "value_down": "estimated_value DESC NULLS LAST, id DESC",
        },
    ),
    "contacts": (
        "assigned_to_id, created_by_id",
        {
            "created": "created_at, id",
            "updated": "updated_at, id",
            "last_name": '(hub_fold(last_name) COLLATE "C"), id',
            "first_name": '(hub_fold(first_name) COLLATE "C"), id',
        },
    ),
    "opportunities": (
        "stage, assigned_to_id, owner_id",
        {
            "created": "created_at, id",
            "updated": "updated_at, id",
            "amount": "amount, id",
            "close": "expected_close_date, id",
        },
    ),
    "tasks": (
        "status, assigned_to_id, created_by_id",
        {
            "created": "created_at, id",
            "updated": "updated_at, id",
            "due_up": "due_date, id",
            "due_down": "due_date DESC NULLS LAST, id DESC",
        },
    ),
}

INDEXES = [
    *(f"DROP INDEX crm_{table}_created" for table in ORDERED),
    *(
        f"CREATE INDEX crm_{table}_{name} ON crm_{table} ({keys}) INCLUDE ({narrowed})"
        for table, (narrowed, indexes) in ORDERED.items()
        for name, keys in indexes.items()
    ),
    "CREATE INDEX crm_leads_email ON crm_leads (email)",
]


class Migration(migrations.Migration):
    dependencies = [("models", "0004_rights")]  # noqa: RUF012
    operations = [  # noqa: RUF012
        RunSQL([*functions()]),
        RunSQL([statement for searched in SEARCHED.values() for statement in statements(searched)]),
        RunSQL(INDEXES),
    ]
