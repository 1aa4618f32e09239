"""The server API's `publish` and `broadcast`."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import orjson

from hub.centrifuge.api_parts import OUTCOME_UNKNOWN, Api, Call, Result, in_parallel
from hub.centrifuge.api_request import ApiError, Given, bad, payload
from hub.centrifuge.codes import PERMISSION_DENIED
from hub.publish import LONGEST_NAME, OutcomeUnknown, Publish, of_agents
from streams.envelope import LARGEST_DATA

#: Most bytes of a publication's tags, as JSON.
LARGEST_TAGS = 16 * 1024

#: What is said on the channel of a record follows from the record.
OF_AGENTS = PERMISSION_DENIED._replace(message="permission denied: only agents write to the channels of records")


def publish(given: Given) -> Call:
    """Say something in a channel. Answered with its epoch and offset, or with zeros while the node's fold is behind."""
    wanted = _wanted(given, given.text("channel"))

    async def call(api: Api) -> Result:
        return await _publish(api, wanted)

    return call


def broadcast(given: Given) -> Call:
    """Say the same in many channels, each of which has an answer of its own."""
    channels, wanted = given.texts("channels"), _wanted(given, "")
    if not channels:
        raise bad("channels are required")

    async def call(api: Api) -> Result:
        async def one(channel: str) -> Result:
            try:
                return {"result": await _publish(api, replace(wanted, channel=channel))}
            except ApiError as error:
                return error.answer

        return {"responses": await in_parallel(one, channels)}

    return call


def _wanted(given: Given, channel: str) -> Publish:
    """What is to be said; an id that is empty is made for each channel. Raises Malformed or ApiError."""
    tags = given.tags("tags")
    wanted = Publish(
        channel=channel,
        payload=payload(given, "data") or b"",
        id=given.text("idempotency_key"),
        tags=orjson.dumps(tags) if tags else None,
        transient=given.flag("skip_history"),
        version=given.whole("version"),
        version_epoch=given.text("version_epoch"),
        delta=given.flag("delta"),
    )
    if not wanted.payload:
        raise bad("data is required")
    if len(wanted.payload) > LARGEST_DATA:
        raise bad(f"data may have at most {LARGEST_DATA:,} bytes as compact JSON")
    if wanted.tags is not None and len(wanted.tags) > LARGEST_TAGS:
        raise bad(f"tags may have at most {LARGEST_TAGS:,} bytes as compact JSON")
    if max(len(wanted.id), len(wanted.version_epoch)) > LONGEST_NAME:
        raise bad(f"idempotency_key and version_epoch may have at most {LONGEST_NAME} characters")
    return wanted


async def _publish(api: Api, wanted: Publish) -> Result:
    if of_agents(wanted.channel):
        raise ApiError(OF_AGENTS)
    delta = wanted.delta or api.options(wanted.channel).delta_publish
    try:
        place = await api.publish(replace(wanted, id=wanted.id or str(uuid4()), delta=delta))
    except OutcomeUnknown:
        raise ApiError(OUTCOME_UNKNOWN) from None
    epoch, offset = place or ("", 0)
    return {"offset": offset, "epoch": epoch}
