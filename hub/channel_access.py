"""Who may subscribe to the channels of the CRM. What is then delivered is decided publication by publication."""

from __future__ import annotations

from hub.crm_channels import CrmChannel, Kind
from models.access import Action, Role, Viewer, may
from models.jobs import Job
from models.resources.catalogue import RESOURCES


async def may_subscribe(viewer: Viewer, channel: CrmChannel) -> bool:
    """Whether this user may; of a record or job, as it is now. Raises what Postgres raises when it is away."""
    match channel.kind:
        case Kind.ACTIVITY:
            return True
        case Kind.PERSONAL:
            return channel.id == str(viewer.id)
    if viewer.role in (Role.ADMIN, Role.MANAGER):
        return True  # of a deleted record, too
    if channel.entity == "job":
        return await Job.filter(id=channel.id, created_by_id=viewer.id).exists()
    resource = RESOURCES.get(channel.entity)
    if resource is None:
        return may(viewer, Action.READ, channel.entity, {})
    return await resource.readable(int(channel.id), viewer)
