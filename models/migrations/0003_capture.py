"""Capture of every change of a business table, and the upkeep of `updated_at`."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

from models.capture import FUNCTIONS, statements, touch

CAPTURED = (
    "crm_users",
    "crm_user_profiles",
    "crm_leads",
    "crm_contacts",
    "crm_opportunities",
    "crm_opportunity_stages",
    "crm_tasks",
    "crm_activities",
    "crm_follows",
    "notification_reads",
)
TOUCHED = ("crm_leads", "crm_contacts", "crm_opportunities", "crm_opportunity_stages", "crm_tasks", "jobs")


class Migration(migrations.Migration):
    dependencies = [("models", "0002_machinery")]  # noqa: RUF012
    operations = [  # noqa: RUF012
        RunSQL(FUNCTIONS),
        RunSQL([statement for table in CAPTURED for statement in statements(table)]),
        RunSQL([touch(table) for table in TOUCHED]),
    ]
