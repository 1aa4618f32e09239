"""The channels of the CRM, which are there whatever is configured.

    activity                   what happens, to each what they may see
    #<user>                    personal: notifications and updates of one's own records
    <entity>:<id>              a lead, contact, opportunity or task
    timeline:<entity>:<id>     what happened to one of these
    job:<id> campaign:<id> widget:<id> dashboard:<id>

An id is written in one way only: a serial number without leading zeros, or a UUID in lower case. A job has a UUID, a
user or record a serial number, the others may have either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a channel of the CRM is about."""

    ACTIVITY = "activity"
    PERSONAL = "personal"
    RECORD = "record"
    TIMELINE = "timeline"
    #: A job, campaign, widget or dashboard.
    THING = "thing"


@dataclass(frozen=True, kw_only=True, slots=True)
class CrmChannel:
    """A channel of the CRM."""

    kind: Kind
    #: `lead`, `user` (of a personal channel), `job` ...; empty for `activity`.
    entity: str = ""
    #: As in the channel's name.
    id: str = ""


RECORDS = ("lead", "contact", "opportunity", "task")
THINGS = ("job", "campaign", "widget", "dashboard")

#: Namespaces nobody else may use.
NAMES = frozenset({*RECORDS, *THINGS, "timeline", "activity"})

_SERIAL = "[1-9][0-9]{0,18}"
_UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_CHANNEL = re.compile(
    rf"(?P<activity>activity)"
    rf"|\#(?P<personal>{_SERIAL})"
    rf"|(?P<timeline>timeline:)?(?P<record>{'|'.join(RECORDS)}):(?P<record_id>{_SERIAL})"
    rf"|(?P<thing>{'|'.join(THINGS)}):(?P<thing_id>{_UUID}|(?<!job:){_SERIAL})"
)

#: Largest serial number.
LARGEST = 2**63 - 1


def crm(channel: str) -> CrmChannel | None:
    """What a channel of the CRM is about; None for any other channel, and for an id that no record can have."""
    found = _CHANNEL.fullmatch(channel)
    if found is None:
        return None
    if found["activity"]:
        return CrmChannel(kind=Kind.ACTIVITY)
    id = found["personal"] or found["record_id"] or found["thing_id"]
    if id.isdigit() and int(id) > LARGEST:
        return None
    if found["personal"]:
        return CrmChannel(kind=Kind.PERSONAL, entity="user", id=id)
    if found["thing"]:
        return CrmChannel(kind=Kind.THING, entity=found["thing"], id=id)
    return CrmChannel(kind=Kind.TIMELINE if found["timeline"] else Kind.RECORD, entity=found["record"], id=id)
