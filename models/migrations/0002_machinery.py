"""The table `events`, the machinery around it, and the indexes."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

from models.events import EVENTS
from models.machinery import INDEXES, MACHINERY


class Migration(migrations.Migration):
    dependencies = [("models", "0001_initial")]  # noqa: RUF012
    operations = [RunSQL(EVENTS), RunSQL(MACHINERY), RunSQL(INDEXES)]  # noqa: RUF012
