"""What a client may do on a channel: by a token, by the access rules of the CRM, by the options of the namespace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hub.centrifuge import codes
from hub.centrifuge.claims import KeysUnavailable, SubscriptionClaims, SubscriptionOptions, TokenExpired, TokenInvalid
from hub.centrifuge.codes import Ended, Refused
from hub.channel_access import may_subscribe
from hub.crm_channels import CrmChannel, crm
from hub.errors import unavailable
from hub.namespaces import ChannelOptions

if TYPE_CHECKING:
    from hub.centrifuge.client import Client


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A subscription that is allowed."""

    #: Unix seconds at which it ends unless it is refreshed; None never.
    expires_at: int | None = None
    options: SubscriptionOptions = field(default_factory=SubscriptionOptions)


def options_of(client: Client, channel: str) -> ChannelOptions:
    """The options of a channel. Raises Refused for what cannot be its name, and for an unknown namespace."""
    namespaces = client.node.namespaces
    options = namespaces.options(channel)
    if channel and options is None:
        raise Refused(codes.UNKNOWN_CHANNEL)
    if options is None or not namespaces.well_formed(channel):
        raise Refused(codes.BAD_ARGUMENTS)
    return options


async def subscribe(client: Client, channel: str, token: str) -> Grant:
    """Let a client subscribe. Raises Refused or Ended."""
    options, namespaces = options_of(client, channel), client.node.namespaces
    grant, about = Grant(), crm(channel)
    if token:
        claims = await claimed(client, channel, token)
        grant = Grant(expires_at=claims.expires_at, options=claims.options)
    elif namespaces.token_required(channel):
        raise Refused(codes.PERMISSION_DENIED)
    if about is not None:
        await check_crm(client, about)
        return grant
    users = namespaces.users(channel)
    named = users is not None and bool(client.user) and client.user in users
    allowed = options.allow_subscribe_for_client and users is None
    anonymous = bool(client.user) or options.allow_subscribe_for_anonymous
    if token or named or (allowed and anonymous) or client.insecure:
        return grant
    raise Refused(codes.PERMISSION_DENIED)


async def asked(client: Client, channels: Iterable[str]) -> dict[str, SubscriptionOptions]:
    """Those of the channels a connect command names that the client could subscribe to without a token; the others are
    passed over. Raises Ended for an unknown namespace, and Refused while it cannot be known.
    """
    granted: dict[str, SubscriptionOptions] = {}
    for channel in channels:
        try:
            granted[channel] = (await subscribe(client, channel, "")).options
        except Refused as refused:
            if refused.error == codes.UNKNOWN_CHANNEL:
                raise Ended(codes.BAD_REQUEST) from None
            if refused.error.temporary:
                raise
    return granted


async def claimed(client: Client, channel: str, token: str) -> SubscriptionClaims:
    """What a subscription token says that is for this client and channel. Raises Refused or Ended."""
    try:
        claims = await client.node.verifier.subscription(token)
    except TokenExpired:
        raise Refused(codes.TOKEN_EXPIRED) from None
    except TokenInvalid:
        raise Refused(codes.PERMISSION_DENIED) from None
    except KeysUnavailable:
        raise Refused(codes.INTERNAL_ERROR) from None
    if (claims.user, claims.channel) != (client.user, channel) or claims.client not in ("", client.id):
        raise Ended(codes.INVALID_TOKEN)
    return claims


def publish(client: Client, channel: str) -> None:
    """Let a client publish. Raises Refused."""
    _check(client, channel, options_of(client, channel), "publish")


def history(client: Client, channel: str) -> None:
    """Let a client read back. Raises Refused."""
    options = options_of(client, channel)
    if not options.history_size:
        raise Refused(codes.NOT_AVAILABLE)
    _check(client, channel, options, "history")


def presence(client: Client, channel: str) -> None:
    """Let a client ask who is there. Raises Refused."""
    options = options_of(client, channel)
    if not options.presence:
        raise Refused(codes.NOT_AVAILABLE)
    _check(client, channel, options, "presence")


async def check_crm(client: Client, channel: CrmChannel) -> None:
    """Let a client listen to a channel of the CRM; a token does not help. Raises Refused."""
    viewer = await client.viewer()
    try:
        if viewer is not None and await may_subscribe(viewer, channel):
            return
    except Exception as error:
        if not unavailable(error):
            raise
        raise Refused(codes.INTERNAL_ERROR) from error
    raise Refused(codes.PERMISSION_DENIED)


def _check(
    client: Client, channel: str, options: ChannelOptions, what: Literal["publish", "history", "presence"]
) -> None:
    """Let a client do what the options `allow_<what>_for_...` say. Raises Refused.

    On a channel of the CRM nobody publishes, and only who listens may ask.
    """
    listens, ours = channel in client.subscriptions, crm(channel) is not None
    for_client: bool = getattr(options, f"allow_{what}_for_client")
    for_anonymous: bool = getattr(options, f"allow_{what}_for_anonymous")
    for_subscriber: bool = getattr(options, f"allow_{what}_for_subscriber")
    allowed = (
        (for_subscriber and listens)
        or (for_client and not ours and (bool(client.user) or for_anonymous))
        or (client.insecure and (listens or not ours))
    )
    if not allowed or (ours and what == "publish"):
        raise Refused(codes.PERMISSION_DENIED)
