"""Marking notifications as read."""

from __future__ import annotations

from uuid import UUID

import structlog
from tortoise.exceptions import IntegrityError

from hub.errors import unavailable
from models.access import Viewer
from models.database import Context, transaction
from models.notifications import Notification, NotificationRead

log = structlog.get_logger()


async def mark_read(viewer: Viewer, notification_id: object, *, remote: str | None) -> str | None:
    """Note that a user has read one of their notifications; once is enough. Says what is wrong otherwise."""
    try:
        id = UUID(notification_id) if isinstance(notification_id, str) else None
    except ValueError:
        id = None
    if id is None:
        return "notification_id must be the id of a notification."
    try:
        async with transaction(Context(actor=viewer.id, ip=remote, source="websocket")):
            if not await Notification.exists(id=id, user_id=viewer.id):
                return "You have no notification with this id."
            if not await NotificationRead.exists(notification_id=id):
                await NotificationRead.create(notification_id=id, user_id=viewer.id)
    except IntegrityError:
        return None  # read on another device at the same moment
    except Exception as error:
        if not unavailable(error):
            raise
        log.warning("notification_not_marked", error=repr(error))
        return "The database cannot be reached for the moment; try again."
    return None
