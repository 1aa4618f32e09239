"""What can be done with a lead beside changing it: converting it into a contact and a deal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from tortoise.exceptions import IntegrityError

from hub import etags, idempotency
from hub.errors import ChangedMeanwhile, Conflict, Forbidden
from hub.openapi.operation import Operation, documented
from hub.openapi.resources import MATCHING
from hub.openapi.shapes import FLAG, fields, nullable
from hub.records import Records
from hub.requests import VIEWER, context, no_body
from models.access import Action, Viewer, may
from models.contacts import ContactType
from models.database import Context, execute, savepoint, transaction
from models.leads import LeadStatus
from models.resources.contacts import CONTACTS
from models.resources.kinds import SERIAL
from models.resources.leads import LEADS
from models.resources.opportunities import OPPORTUNITIES
from models.resources.selection import Key, Row

RECORDS = Records(LEADS)

#: Days until a new deal is expected to close.
EXPECTED = timedelta(days=30)
LONGEST_NAME = 200

HIDDEN = "There is a contact with this e-mail address, and you may not see it."


@documented(
    Operation(
        body=fields(),
        bodiless=True,
        answers={200: fields(success=FLAG, contact_id=SERIAL, opportunity_id=nullable(SERIAL))},
        parameters=(MATCHING,),
        refusals=(Forbidden, Conflict, ChangedMeanwhile),
        idempotent=True,
    )
)
async def convert(request: web.Request) -> web.Response:
    """Make a contact of a lead, or take the one with its e-mail address, and a deal if the lead has a value."""
    raw = await no_body(request)
    wanted, viewer, key = etags.wanted(request), request[VIEWER], RECORDS.key(request)

    async def work() -> idempotency.Answer:
        async with transaction(context(request)):
            lead = await RECORDS.held(request, wanted)
            if lead["status"] == LeadStatus.CONVERTED:
                raise Conflict("This lead is converted already.")
            contact = await _contact(lead, viewer, context(request))
            deal = await _deal(lead, contact, viewer, context(request)) if lead["estimated_value"] else None
            await LEADS.detailed.updated(key, {"status": LeadStatus.CONVERTED}, {}, context(request))
        return idempotency.Answer(status=200, body={"success": True, "contact_id": contact, "opportunity_id": deal})

    async def permitted(_answer: dict[str, Any]) -> bool:
        return await LEADS.readable(key, viewer)

    return await idempotency.once(request, raw, work, permitted)


async def _contact(lead: Row, viewer: Viewer, context: Context) -> Key:
    """The contact with the lead's e-mail address: the one there is, or a new one."""
    if (known := await _known(lead["email"], viewer)) is not None:
        return known
    columns = {name: lead[name] for name in ("first_name", "last_name", "email", "phone", "company_name", "job_title")}
    columns |= {"source": lead["lead_source"], "contact_type": ContactType.CUSTOMER}
    columns |= {"assigned_to_id": lead["assigned_to_id"], "created_by_id": viewer.id}
    if not may(viewer, Action.CREATE, CONTACTS.entity, columns):
        raise Forbidden
    try:
        async with savepoint():
            row = await CONTACTS.access.inserted(columns, context)
    except IntegrityError:
        # Somebody made it a moment ago.
        if (known := await _known(lead["email"], viewer)) is None:
            raise
        return known
    key: Key = row["id"]
    return key


async def _known(email: str, viewer: Viewer) -> Key | None:
    found = await execute("SELECT id FROM crm_contacts WHERE email = $1", [email])
    if not found:
        return None
    key: Key = found[0]["id"]
    if not await CONTACTS.readable(key, viewer):
        raise Conflict(HIDDEN)
    return key


async def _deal(lead: Row, contact: Key, viewer: Viewer, context: Context) -> Key:
    person = f"{lead['first_name']} {lead['last_name']}"
    columns = {
        "name": (f"{lead['company_name']} - {person}" if lead["company_name"] else person)[:LONGEST_NAME],
        "company_name": lead["company_name"],
        "contact_id": contact,
        "amount": lead["estimated_value"],
        "expected_close_date": (datetime.now(UTC) + EXPECTED).date(),
        "assigned_to_id": lead["assigned_to_id"],
        "owner_id": viewer.id,
    }
    if not may(viewer, Action.CREATE, OPPORTUNITIES.entity, columns):
        raise Forbidden
    key: Key = (await OPPORTUNITIES.access.inserted(columns, context))["id"]
    return key
