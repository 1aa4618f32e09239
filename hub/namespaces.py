"""What may be done on a channel: the grammar of its name, and the options of the namespace it is in.

    ns:rest        in namespace `ns`; a name without a boundary has the options for channels without namespace
    $ns:rest       only with a subscription token
    ns:rest#1,2    only for the users 1 and 2, where the namespace allows user-limited channels

The channels of the CRM (hub/crm_channels.py) are built in; no namespace can be put in their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from actors.channel import Retention
from actors.log import CHANNEL_LIFE
from hub.crm_channels import NAMES, crm
from hub.options import Positive, Text, WholeSeconds

#: Options of so many channels are remembered.
REMEMBERED = 16_384

#: Seconds for which the log remembers a channel's numbers. No configuration changes it.
NUMBERS_REMEMBERED = CHANNEL_LIFE / 1000

NAME = re.compile(r"[-a-zA-Z0-9_.]{2,}")


def check_regex(pattern: str) -> None:
    """Raise ValueError for what is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError("at least two of a-z A-Z 0-9 - _ .")


@dataclass(frozen=True, kw_only=True)
class ChannelOptions:
    """What may be done on the channels of one namespace. A client with a user id is no anonymous one."""

    #: Publications kept for history and recovery.
    history_size: int = 0
    history_ttl: WholeSeconds = 0.0
    #: Asks the log to remember numbers for so long; it does for 30 days. Zero takes channel.history_meta_ttl.
    history_meta_ttl: WholeSeconds = 0.0
    #: Every subscription is positioned or recovers, or may be so if the client asks.
    force_positioning: bool = False
    allow_positioning: bool = False
    force_recovery: bool = False
    allow_recovery: bool = False
    #: `cache` recovers the last publication alone; empty is `stream`.
    force_recovery_mode: Literal["", "stream", "cache"] = ""
    #: What a subscription may ask for, to be sent deltas to the publication before; and whether all that is published
    #: from outside may be sent so, or only what its publisher marked.
    allowed_delta_types: tuple[Literal["fossil"], ...] = ()
    delta_publish: bool = False
    #: Who is there; joining and leaving; whether the latter is told to clients that did not ask.
    presence: bool = False
    join_leave: bool = False
    force_push_join_leave: bool = False
    allow_subscribe_for_client: bool = False
    allow_subscribe_for_anonymous: bool = False
    allow_publish_for_client: bool = False
    allow_publish_for_subscriber: bool = False
    allow_publish_for_anonymous: bool = False
    allow_presence_for_client: bool = False
    allow_presence_for_subscriber: bool = False
    allow_presence_for_anonymous: bool = False
    allow_history_for_client: bool = False
    allow_history_for_subscriber: bool = False
    allow_history_for_anonymous: bool = False
    allow_user_limited_channels: bool = False
    #: Must be found in the name after the namespace; empty asks for ASCII.
    channel_regex: Annotated[str, Text(check=check_regex)] = ""


@dataclass(frozen=True, kw_only=True)
class Namespace(ChannelOptions):
    """A namespace and the options of its channels."""

    name: Annotated[str, Text(check=_check_name)]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """Everything about channels."""

    without_namespace: ChannelOptions = ChannelOptions()
    namespaces: tuple[Namespace, ...] = ()
    history_meta_ttl: WholeSeconds = NUMBERS_REMEMBERED
    #: Longest name, in bytes.
    max_length: Positive = 255
    #: An empty one of these turns off what it stands for.
    private_prefix: str = "$"
    namespace_boundary: str = ":"
    user_boundary: str = "#"
    #: Empty allows one user.
    user_separator: str = ","


#: What the channels of the CRM keep and allow; who may subscribe is for the access rules.
CRM_OPTIONS = ChannelOptions(
    history_size=10_000,
    history_ttl=24 * 3600.0,
    force_positioning=True,
    force_recovery=True,
    allowed_delta_types=("fossil",),
    delta_publish=True,
    allow_history_for_subscriber=True,
)

#: What is kept of channels in no known namespace: nobody can subscribe there.
NOTHING = Retention(size=0, ttl=0)

#: Publications, and for how many seconds, remembered of any channel however little history it has. A socket that is
#: full for a moment goes on from there; without it the first write that waits would cost the client its connection.
SPARE, SPARE_TTL = 128, 60


class Namespaces:
    """Looks up what holds for a channel. Lookups are remembered: one is made for every publication."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._options: dict[str, ChannelOptions] = {one.name: one for one in channel.namespaces}
        self._found = lru_cache(maxsize=REMEMBERED)(self._find)

    def options(self, channel: str) -> ChannelOptions | None:
        """The options of a channel; None if it is in a namespace that is not there (error 102)."""
        return self._found(channel)[0]

    def retention(self, channel: str) -> Retention:
        """How much of a channel is remembered."""
        return self._found(channel)[1]

    def well_formed(self, channel: str) -> bool:
        """Whether this can be the name of a channel: not empty, not too long, ASCII or what its namespace asks for."""
        if not channel or len(channel.encode(errors="replace")) > self._channel.max_length:
            return False
        options = self.options(channel)
        if options is None or not options.channel_regex:
            return channel.isascii()
        return re.search(options.channel_regex, self._split(channel)[1]) is not None

    def token_required(self, channel: str) -> bool:
        """Whether only a subscription token lets one subscribe."""
        prefix = self._channel.private_prefix
        return bool(prefix) and channel.startswith(prefix)

    def users(self, channel: str) -> tuple[str, ...] | None:
        """The users whom the name of a channel lets in; None if it is not limited to any."""
        boundary, options = self._channel.user_boundary, self.options(channel)
        if not boundary or boundary not in channel or options is None or not options.allow_user_limited_channels:
            return None
        users = channel.rpartition(boundary)[2]
        return tuple(users.split(self._channel.user_separator)) if self._channel.user_separator else (users,)

    def personal(self, user: str, namespace: str = "") -> str:
        """A user's personal channel, in that namespace if one is named."""
        prefix = f"{namespace}{self._channel.namespace_boundary}" if namespace else ""
        return f"{prefix}{self._channel.user_boundary}{user}"

    def _find(self, channel: str) -> tuple[ChannelOptions | None, Retention]:
        if crm(channel):
            options: ChannelOptions | None = CRM_OPTIONS
        else:
            namespace = self._split(channel)[0]
            options = self._options.get(namespace) if namespace is not None else self._channel.without_namespace
        if options is None:
            return None, NOTHING
        return options, Retention(
            size=options.history_size, ttl=int(options.history_ttl), spare=SPARE, spare_ttl=SPARE_TTL
        )

    def _split(self, channel: str) -> tuple[str | None, str]:
        """Namespace, None if there is none, and the rest of the name."""
        boundary = self._channel.namespace_boundary
        name = channel.removeprefix(self._channel.private_prefix)
        if not boundary or boundary not in name:
            return None, channel
        namespace, _, rest = name.partition(boundary)
        return namespace, rest


def mistakes(channel: Channel) -> Iterator[str]:
    """What does not go together in the section `channel`, a sentence each."""
    if channel.history_meta_ttl > NUMBERS_REMEMBERED:
        yield 'channel.history_meta_ttl may be at most "720h": the log remembers numbers for 30 days.'
    yield from _of_options(channel.without_namespace, "channel.without_namespace", channel)
    seen = set()
    for one in channel.namespaces:
        path = f"channel.namespaces[{one.name}]"
        if one.name in seen:
            yield f"{path} is there twice."
        if one.name in NAMES:
            yield f"{path} cannot be configured: {one.name} is the name of built-in channels."
        seen.add(one.name)
        yield from _of_options(one, path, channel)


def _of_options(options: ChannelOptions, path: str, channel: Channel) -> Iterator[str]:
    if bool(options.history_size) != bool(options.history_ttl):
        yield f"{path}.history_size and {path}.history_ttl go together: give both or none."
    if options.history_meta_ttl > NUMBERS_REMEMBERED:
        yield f'{path}.history_meta_ttl may be at most "720h": the log remembers numbers for 30 days.'
    if options.history_ttl > (options.history_meta_ttl or channel.history_meta_ttl):
        yield f"{path}.history_ttl may not be longer than history_meta_ttl."
    if options.force_recovery and not options.history_size:
        yield f"{path}.force_recovery needs history_size and history_ttl."


def without_file() -> Channel:
    """The section when there is no configuration file: channels without namespace keep history and recover."""
    return Channel(without_namespace=CRM_OPTIONS)
