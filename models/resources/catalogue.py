"""Every resource there is, by what access rules, events and history call its records."""

from __future__ import annotations

from models.resources.contacts import CONTACTS
from models.resources.leads import LEADS
from models.resources.opportunities import OPPORTUNITIES
from models.resources.tasks import TASKS

RESOURCES = {resource.entity: resource for resource in (LEADS, CONTACTS, OPPORTUNITIES, TASKS)}
