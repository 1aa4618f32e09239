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

#: What lists are ordered by, with the id; each way where there may be nulls, which are last. And what people look for.
INDEXES = """
CREATE INDEX crm_leads_updated ON crm_leads (updated_at, id);
CREATE INDEX crm_leads_score ON crm_leads (lead_score, id);
CREATE INDEX crm_leads_value ON crm_leads (estimated_value, id);
CREATE INDEX crm_leads_value_down ON crm_leads (estimated_value DESC NULLS LAST, id DESC);
CREATE INDEX crm_leads_email ON crm_leads (email);
CREATE INDEX crm_contacts_updated ON crm_contacts (updated_at, id);
CREATE INDEX crm_contacts_last_name ON crm_contacts ((hub_fold(last_name) COLLATE "C"), id);
CREATE INDEX crm_contacts_first_name ON crm_contacts ((hub_fold(first_name) COLLATE "C"), id);
CREATE INDEX crm_opportunities_updated ON crm_opportunities (updated_at, id);
CREATE INDEX crm_opportunities_amount ON crm_opportunities (amount, id);
CREATE INDEX crm_opportunities_close ON crm_opportunities (expected_close_date, id);
CREATE INDEX crm_tasks_updated ON crm_tasks (updated_at, id);
CREATE INDEX crm_tasks_due_up ON crm_tasks (due_date, id);
CREATE INDEX crm_tasks_due_down ON crm_tasks (due_date DESC NULLS LAST, id DESC);
"""


class Migration(migrations.Migration):
    dependencies = [("models", "0004_rights")]  # noqa: RUF012
    operations = [  # noqa: RUF012
        RunSQL([*functions()]),
        RunSQL([statement for searched in SEARCHED for statement in statements(searched)]),
        RunSQL(INDEXES),
    ]
