"""Tokens for the SDKs: to whom they are given, for which channels, and what they say."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from hub.centrifuge.verifier import Verifier
from hub.keys import CONFIGURATION
from models.access import Role
from models.database import Context, transaction
from models.jobs import Job
from tests.hub.rest import CONTACT, LEAD, SECRET, Caller, Rest

CONNECTION, SUBSCRIPTION = "/api/v1/connection-token/", "/api/v1/subscription-token/"


@pytest.fixture
def verifier(rest: Rest) -> Verifier:
    return Verifier(rest.app[CONFIGURATION].client, SECRET)


async def admitted(caller: Caller, *channels: str) -> list[str]:
    """Those of the channels for which somebody is given a token; for the others the answer is 403."""
    given = []
    for channel in channels:
        answer = await caller.post(SUBSCRIPTION, {"channel": channel})
        assert answer.status in (200, 403), answer.body
        if answer.status == 200:
            given.append(channel)
    return given


@pytest.mark.parametrize("body", [None, {}])
async def test_a_token_to_connect_with(rest: Rest, verifier: Verifier, body: Any) -> None:
    ann = await rest.user(Role.VIEWER)
    answer = await ann.post(CONNECTION, body)
    assert (answer.status, set(answer.body)) == (200, {"token", "expires_at"})
    assert answer.headers["Cache-Control"] == "no-store"
    claims = await verifier.connection(answer.body["token"])
    assert claims.user == str(ann.id)
    assert claims.expires_at == datetime.fromisoformat(answer.body["expires_at"]).timestamp()
    assert 800 < claims.expires_at - time.time() <= 900


async def test_it_is_no_access_token(rest: Rest) -> None:
    ann = await rest.user()
    token = (await ann.post(CONNECTION, None)).body["token"]
    assert (await Caller(rest.http, rest.url, ann.id, token).post(CONNECTION, None)).status == 401


async def test_nobody_is_given_one(rest: Rest) -> None:
    for path, body in [(CONNECTION, None), (SUBSCRIPTION, {"channel": "activity"})]:
        assert (await rest.nobody.post(path, body)).status == 401


async def test_a_token_for_a_channel(rest: Rest, verifier: Verifier) -> None:
    ann = await rest.user(Role.SALES_REP)
    answer = await ann.post(SUBSCRIPTION, {"channel": f"#{ann.id}"})
    claims = await verifier.subscription(answer.body["token"])
    assert (claims.user, claims.channel) == (str(ann.id), f"#{ann.id}")


async def test_bad_bodies(rest: Rest) -> None:
    ann = await rest.user()
    for path, body, status, key in [
        (CONNECTION, {"user": 1}, 400, "user"),
        (CONNECTION, [], 400, "non_field_errors"),
        (CONNECTION, b"{", 400, "detail"),
        (SUBSCRIPTION, None, 400, "detail"),
        (SUBSCRIPTION, {}, 400, "channel"),
        (SUBSCRIPTION, {"channel": ""}, 400, "channel"),
        (SUBSCRIPTION, {"channel": ["activity"]}, 400, "channel"),
        (SUBSCRIPTION, {"channel": "a" * 256}, 400, "channel"),
        (SUBSCRIPTION, {"channel": "activity", "user": 1}, 400, "user"),
    ]:
        answer = await ann.post(path, body)
        assert (answer.status, list(answer.body)) == (status, [key]), (path, body)


async def test_channels_of_records_are_for_those_who_may_read_them(rest: Rest) -> None:
    admin, rep, marketing, viewer = [
        await rest.user(role) for role in (Role.ADMIN, Role.SALES_REP, Role.MARKETING, Role.VIEWER)
    ]
    own = (await admin.post("/api/v1/leads/", {**LEAD, "assigned_to": rep.id})).body["id"]
    foreign = (await admin.post("/api/v1/leads/", {**LEAD, "assigned_to": admin.id})).body["id"]
    contact = (await admin.post("/api/v1/contacts/", {**CONTACT, "assigned_to": admin.id})).body["id"]
    channels = [
        f"lead:{own}",
        f"lead:{foreign}",
        f"contact:{contact}",
        f"timeline:lead:{own}",
        f"timeline:lead:{foreign}",
    ]
    assert await admitted(admin, *channels) == channels
    assert await admitted(viewer, *channels) == channels
    assert await admitted(marketing, *channels) == channels
    assert await admitted(rep, *channels) == [f"lead:{own}", f"timeline:lead:{own}"]
    await rest.pool.execute("UPDATE crm_leads SET assigned_to_id = $1 WHERE id = $2", admin.id, own)
    assert await admitted(rep, *channels) == []


async def test_what_is_deleted_is_for_admin_and_manager(rest: Rest) -> None:
    admin, manager, viewer = [await rest.user(role) for role in (Role.ADMIN, Role.MANAGER, Role.VIEWER)]
    lead = (await admin.post("/api/v1/leads/", LEAD)).body["id"]
    await admin.delete(f"/api/v1/leads/{lead}/")
    for caller, expected in [(admin, [f"timeline:lead:{lead}"]), (manager, [f"timeline:lead:{lead}"]), (viewer, [])]:
        assert await admitted(caller, f"timeline:lead:{lead}") == expected


async def test_other_channels_of_the_crm(rest: Rest) -> None:
    admin, rep, support = [await rest.user(role) for role in (Role.ADMIN, Role.SALES_REP, Role.CUSTOMER_SUPPORT)]
    async with transaction(Context(source="test")):
        job = await Job.create(kind="import", created_by_id=rep.id)
    channels = ["activity", f"#{rep.id}", f"#{admin.id}", f"job:{job.id}", "campaign:1", "widget:1", "dashboard:1"]
    assert await admitted(rep, *channels) == ["activity", f"#{rep.id}", f"job:{job.id}"]
    assert await admitted(support, *channels) == ["activity", "campaign:1"]
    assert await admitted(admin, *channels) == [one for one in channels if one != f"#{rep.id}"]


async def test_channels_that_are_not_of_the_crm(rest: Rest) -> None:
    admin = await rest.user()
    assert await admitted(admin, "news", "$news", "chat:1", "lead:x", "lead:0", "user:1", f"#{admin.id},1", "ä") == []
