"""What one step of a job leaves for the next, and who began the job."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.fields.db_defaults import SqlDefault
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0006_accounts")]  # noqa: RUF012
    operations = [  # noqa: RUF012
        ops.AddField(
            model_name="Job",
            name=name,
            field=fields.JSONField(default=dict, db_default=SqlDefault("'{}'"), encoder=JSON_DUMPS, decoder=loads),
        )
        for name in ("state", "context")
    ]
