"""Changes of roles are told to hub nodes when they are committed."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

from models.rights import FUNCTION, TRIGGERS


class Migration(migrations.Migration):
    dependencies = [("models", "0003_capture")]  # noqa: RUF012
    operations = [RunSQL([FUNCTION, *TRIGGERS])]  # noqa: RUF012
