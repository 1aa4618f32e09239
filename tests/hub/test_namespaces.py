"""What holds for a channel, by its name and the configuration."""

from __future__ import annotations

import pytest

from actors.channel import Retention
from hub.namespaces import CRM_OPTIONS, Channel, ChannelOptions, Namespace, Namespaces, mistakes, without_file

PLAIN = ChannelOptions(history_size=5, history_ttl=60.0)
CHAT = Namespace(name="chat", history_size=100, history_ttl=3600.0, allow_user_limited_channels=True)
ROOMS = Namespace(name="rooms", channel_regex="^[a-zü]+$")
NAMESPACES = Namespaces(Channel(without_namespace=PLAIN, namespaces=(CHAT, ROOMS)))
OTHERWISE = Namespaces(
    Channel(
        namespaces=(CHAT,),
        namespace_boundary="/",
        private_prefix="!",
        user_boundary="@",
        user_separator="",
        max_length=12,
    )
)
BARE = Namespaces(Channel(namespaces=(CHAT,), namespace_boundary="", private_prefix="", user_boundary=""))


@pytest.mark.parametrize(
    ("namespaces", "channel", "options"),
    [
        (NAMESPACES, "news", PLAIN),
        (NAMESPACES, "$news", PLAIN),
        (NAMESPACES, "#ann", PLAIN),
        (NAMESPACES, "chat", PLAIN),
        (NAMESPACES, "chat:1", CHAT),
        (NAMESPACES, "chat:1:2", CHAT),
        (NAMESPACES, "chat:", CHAT),
        (NAMESPACES, "$chat:1", CHAT),
        (NAMESPACES, "chat:1#7,8", CHAT),
        (NAMESPACES, "rooms:a", ROOMS),
        (NAMESPACES, "other:1", None),
        (NAMESPACES, ":1", None),
        (NAMESPACES, "Chat:1", None),
        (NAMESPACES, "activity", CRM_OPTIONS),
        (NAMESPACES, "#42", CRM_OPTIONS),
        (NAMESPACES, "lead:7", CRM_OPTIONS),
        (NAMESPACES, "timeline:lead:7", CRM_OPTIONS),
        (NAMESPACES, "lead:x", None),
        (NAMESPACES, "$lead:7", None),
        (OTHERWISE, "chat/1", CHAT),
        (OTHERWISE, "!chat/1", CHAT),
        (OTHERWISE, "chat:1", ChannelOptions()),
        (OTHERWISE, "lead:7", CRM_OPTIONS),
        (BARE, "chat:1", ChannelOptions()),
    ],
)
def test_options(namespaces: Namespaces, channel: str, options: ChannelOptions | None) -> None:
    assert namespaces.options(channel) is options or namespaces.options(channel) == options


def test_retention() -> None:
    assert NAMESPACES.retention("news") == Retention(size=5, ttl=60, spare=128, spare_ttl=60)
    assert NAMESPACES.retention("chat:1") == Retention(size=100, ttl=3600, spare=128, spare_ttl=60)
    assert NAMESPACES.retention("rooms:a") == Retention(size=0, ttl=0, spare=128, spare_ttl=60)
    assert NAMESPACES.retention("other:1") == Retention(size=0, ttl=0)
    assert NAMESPACES.retention("lead:7") == Retention(size=10_000, ttl=24 * 3600, spare=128, spare_ttl=60)
    assert Namespaces(without_file()).retention("news") == Retention(
        size=10_000, ttl=24 * 3600, spare=128, spare_ttl=60
    )
    assert NAMESPACES.retention("chat:1") is NAMESPACES.retention("chat:1")


@pytest.mark.parametrize(
    ("namespaces", "channel", "right"),
    [
        (NAMESPACES, "", False),
        (NAMESPACES, "a" * 255, True),
        (NAMESPACES, "a" * 256, False),
        (NAMESPACES, "ü", False),
        (NAMESPACES, "chat:ü", False),
        (NAMESPACES, "rooms:ü", True),
        (NAMESPACES, "rooms:A", False),
        (NAMESPACES, "rooms:" + "ü" * 125, False),
        (NAMESPACES, "other:1", True),
        (OTHERWISE, "a" * 12, True),
        (OTHERWISE, "a" * 13, False),
    ],
)
def test_well_formed_names(namespaces: Namespaces, channel: str, right: bool) -> None:
    assert namespaces.well_formed(channel) is right


@pytest.mark.parametrize(
    ("namespaces", "channel", "users"),
    [
        (NAMESPACES, "chat:1#7,8", ("7", "8")),
        (NAMESPACES, "chat:#7", ("7",)),
        (NAMESPACES, "chat:1#2#7", ("7",)),
        (NAMESPACES, "chat:1#", ("",)),
        (NAMESPACES, "chat:1", None),
        (NAMESPACES, "news#7", None),  # not allowed without namespace
        (NAMESPACES, "other:1#7", None),
        (OTHERWISE, "chat/1@7,8", ("7,8",)),
        (OTHERWISE, "chat/1#7", None),
        (BARE, "chat:1#7", None),
    ],
)
def test_user_limited_channels(namespaces: Namespaces, channel: str, users: tuple[str, ...] | None) -> None:
    assert namespaces.users(channel) == users


def test_channels_that_need_a_token() -> None:
    assert NAMESPACES.token_required("$news")
    assert not NAMESPACES.token_required("news$")
    assert OTHERWISE.token_required("!news")
    assert not BARE.token_required("$news")


def test_personal_channels() -> None:
    assert NAMESPACES.personal("42") == "#42"
    assert NAMESPACES.personal("42", "chat") == "chat:#42"
    assert OTHERWISE.personal("42", "chat") == "chat/@42"


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        (Channel(namespaces=(CHAT, CHAT)), "channel.namespaces[chat] is there twice."),
        *(
            (Channel(namespaces=(Namespace(name=name),)), f"{name} is the name of built-in channels")
            for name in "activity lead contact opportunity task timeline job campaign widget dashboard".split()
        ),
        (Channel(history_meta_ttl=31 * 86400.0), 'channel.history_meta_ttl may be at most "720h"'),
        (
            Channel(without_namespace=ChannelOptions(history_size=1)),
            "channel.without_namespace.history_ttl go together",
        ),
        (
            Channel(without_namespace=ChannelOptions(history_ttl=1.0)),
            "channel.without_namespace.history_ttl go together",
        ),
        (Channel(history_meta_ttl=60.0, namespaces=(CHAT,)), "may not be longer than history_meta_ttl"),
        (Channel(without_namespace=ChannelOptions(force_recovery=True)), "force_recovery needs history_size"),
        (Channel(without_namespace=ChannelOptions(history_meta_ttl=31 * 86400.0)), 'may be at most "720h"'),
    ],
)
def test_what_does_not_go_together(channel: Channel, said: str) -> None:
    (sentence,) = mistakes(channel)
    assert said in sentence


def test_what_does() -> None:
    assert list(mistakes(without_file())) == []
    assert list(mistakes(Channel(namespaces=(CHAT, ROOMS)))) == []
