"""Dates that follow from a status, and whom a job has given records to."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.fields.db_defaults import SqlDefault
from tortoise.migrations import operations as ops

from models.stamps import STAMPS, statements

STAMPED = ("crm_leads", "crm_opportunities", "crm_tasks")


class Migration(migrations.Migration):
    dependencies = [("models", "0008_custom_fields")]  # noqa: RUF012
    operations = [  # noqa: RUF012
        ops.RunSQL([sql for stamp in STAMPS if stamp.table in STAMPED for sql in statements(stamp)]),
        ops.AddField(
            model_name="Job",
            name="assigned",
            field=fields.JSONField(default=dict, db_default=SqlDefault("'{}'"), encoder=JSON_DUMPS, decoder=loads),
        ),
    ]
