"""The server API's methods that tell every node what to do with a user's connections.

An order carries the fields of its request, those that are empty left out, and what was in base64 as JSON. A user or
client that is nowhere is no error: it may be about to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from hub.centrifuge.api_parts import OUTCOME_UNKNOWN, Api, Call, Result
from hub.centrifuge.api_request import ApiError, Given, bad, payload
from hub.centrifuge.codes import GONE
from hub.control import TooLarge
from hub.publish import OutcomeUnknown

#: What of a channel's options a subscription may override.
OVERRIDES = ("presence", "join_leave", "force_push_join_leave", "force_recovery", "force_positioning")

#: Fields with any JSON value.
ANY = ("info", "data")

#: Codes a connection may be closed with, and the longest reason in bytes.
CLOSES, LONGEST_REASON = range(3000, 5000), 123


def subscribe(given: Given) -> Call:
    """Subscribe a user's connections to a channel."""
    since = given.object("recover_since")
    content = {
        **_whose(given),
        "channel": given.text("channel"),
        "expire_at": given.whole("expire_at"),
        "info": _value(given, "info"),
        "data": _value(given, "data"),
        "recover_since": None if since is None else {"offset": since.whole("offset"), "epoch": since.text("epoch")},
        "override": _override(given.object("override")),
    }
    return _order("subscribe", content, channel=content["channel"])


def unsubscribe(given: Given) -> Call:
    """Unsubscribe a user's connections from a channel, or from all if none is named."""
    channel = given.text("channel")
    return _order("unsubscribe", {**_whose(given), "channel": channel}, channel=channel or None)


def disconnect(given: Given) -> Call:
    """Close a user's connections, but those of the clients in `whitelist`."""
    close = given.object("disconnect")
    code, reason = (close.whole("code"), close.text("reason")) if close is not None else GONE
    if code not in CLOSES:
        raise bad(f"disconnect.code must be from {CLOSES.start} to {CLOSES.stop - 1}")
    if len(reason.encode()) > LONGEST_REASON:
        raise bad(f"disconnect.reason may have at most {LONGEST_REASON} bytes")
    content = {
        **_whose(given),
        "whitelist": given.texts("whitelist"),
        "disconnect": {"code": code, "reason": reason},
    }
    return _order("disconnect", content)


def refresh(given: Given) -> Call:
    """Let a user's connections expire at another time, or now."""
    content = {
        **_whose(given),
        "expired": given.flag("expired"),
        "expire_at": given.whole("expire_at"),
        "info": _value(given, "info"),
    }
    return _order("refresh", content)


def _whose(given: Given) -> dict[str, Any]:
    return {name: given.text(name) for name in ("user", "client", "session")}


def _value(given: Given, name: str) -> Any:
    value = payload(given, name)
    return None if value is None else orjson.loads(value)


def _override(given: Given | None) -> dict[str, Any]:
    """What is overridden, as in the request: an object with its `value` for each."""
    if given is None:
        return {}
    values = {name: given.object(name) for name in OVERRIDES}
    return {name: {"value": value.flag("value")} for name, value in values.items() if value is not None}


def _order(name: str, content: Mapping[str, Any], *, channel: str | None = None) -> Call:
    """Give an order, if the channel is one. What is empty is left out, but not the user: "" are those without id."""
    sent = {
        key: value for key, value in content.items() if value or key == "user" or (key in ANY and value is not None)
    }

    async def call(api: Api) -> Result:
        if channel is not None:
            api.options(channel)
        try:
            await api.control.order(name, sent)
        except OutcomeUnknown:
            raise ApiError(OUTCOME_UNKNOWN) from None
        except TooLarge:
            raise bad("the order is too large") from None
        return {}

    return call
