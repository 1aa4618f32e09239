"""Full-text search, and the indexes of lists."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

from models.search import Searched, functions, statements

SEARCHED = (
    Searched(
        table="crm_leads",
        entity="lead",
        called=("first_name", "last_name"),
        words=("email", "company_name", "phone"),
        numbers=("phone",),
    ),
    Searched(
        table="crm_contacts",
        entity="contact",
        called=("first_name", "last_name"),
        words=("email", "company_name", "phone", "mobile"),
        numbers=("phone", "mobile"),
    ),
    Searched(table="crm_opportunities", entity="opportunity", called=("name",), words=("company_name",)),
    Searched(table="crm_tasks", entity="task", called=("title",), words=("description",)),
)


class Migration(migrations.Migration):
    dependencies = [("models", "0004_rights")]  # noqa: RUF012
    operations = [  # noqa: RUF012
        RunSQL([*functions()]),
        RunSQL([statement for searched in SEARCHED for statement in statements(searched)]),
    ]
