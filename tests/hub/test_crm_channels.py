"""The names of the CRM's channels."""

import pytest

from hub.crm_channels import CrmChannel, Kind, crm

UUID = "0b5f6c1e-8c1b-4b62-9d3c-2f6d5d8f0a11"


@pytest.mark.parametrize(
    ("channel", "kind", "entity", "id"),
    [
        ("activity", Kind.ACTIVITY, "", ""),
        ("#42", Kind.PERSONAL, "user", "42"),
        ("lead:7", Kind.RECORD, "lead", "7"),
        ("contact:9223372036854775807", Kind.RECORD, "contact", "9223372036854775807"),
        ("opportunity:1", Kind.RECORD, "opportunity", "1"),
        ("task:10", Kind.RECORD, "task", "10"),
        ("timeline:lead:7", Kind.TIMELINE, "lead", "7"),
        (f"job:{UUID}", Kind.THING, "job", UUID),
        ("campaign:3", Kind.THING, "campaign", "3"),
        (f"campaign:{UUID}", Kind.THING, "campaign", UUID),
        ("widget:3", Kind.THING, "widget", "3"),
        ("dashboard:3", Kind.THING, "dashboard", "3"),
    ],
)
def test_a_channel_of_the_crm(channel: str, kind: Kind, entity: str, id: str) -> None:
    assert crm(channel) == CrmChannel(kind=kind, entity=entity, id=id)


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "news",
        "activity:1",
        "Activity",
        "activity\n",
        "#",
        "#0",
        "#01",
        "#ann",
        "#1,2",
        "x#1",
        "lead",
        "lead:",
        "lead:0",
        "lead:07",
        "lead:-1",
        "lead:+1",
        "lead: 1",
        "lead:1 ",
        "lead:1\n",
        "lead:٣",
        "lead:1:2",
        "lead:9223372036854775808",
        "lead:99999999999999999999",
        f"lead:{UUID}",
        "leads:1",
        "$lead:1",
        "user:1",
        "timeline:1",
        "timeline:user:1",
        "timeline:campaign:1",
        "timeline:timeline:lead:1",
        "job:7",
        f"job:{UUID.upper()}",
        f"job:{UUID}0",
    ],
)
def test_any_other_channel(channel: str) -> None:
    assert crm(channel) is None
