"""`docs/asyncapi.yaml`, to hold real records against."""

from __future__ import annotations

from typing import Any

import jsonschema
import orjson
import yaml

from models import jobs
from streams import topics
from tests.system.stack import ROOT

DESCRIPTION: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())


def validator(name: str) -> jsonschema.Draft202012Validator:
    """Of one schema of the description."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    return jsonschema.Draft202012Validator(schema)


BODIES = {topics.CHANGES.name: "change", topics.ACTIVITIES.name: "activity", topics.DEAD.name: "dead"}

#: What is on crm.commands, by type.
JOBS = {jobs.STEP: "jobStep", jobs.ENDED: "jobEnded"}

#: Payloads of what nodes say, by type; None is no payload, or one cut into parts.
CONTROL: dict[str, str | None] = {
    "hub.node.hello": "nodeInfo",
    "hub.node.heartbeat": "nodeInfo",
    "hub.node.present": "nodePresent",
    "hub.node.moved": "nodeMoved",
    "hub.node.again": None,
    "hub.node.goodbye": None,
    "hub.order": "nodeRequest",
    "hub.survey": "nodeRequest",
    "hub.answer": "nodeAnswer",
}

VALIDATORS = {
    name: validator(name)
    for name in (
        *BODIES.values(),
        *JOBS.values(),
        "deadCommand",
        "command",
        "publicationHeaders",
        "tickHeaders",
        "controlHeaders",
        *{name for name in CONTROL.values() if name},
    )
}


def described_as(topic: str, record: Any) -> str:
    """Which schema holds a record, or its type on hub.control; raises jsonschema.ValidationError if it does not fit."""
    if topic == topics.PUBLICATIONS.name:
        headers = {name: value.decode() for name, value in record.headers}
        kind = "tickHeaders" if headers["ce_type"] == "hub.tick" else "publicationHeaders"
        VALIDATORS[kind].validate(headers)
        return kind
    if topic == topics.CONTROL.name:
        return _said(record)
    event = orjson.loads(record.value)
    if topic == topics.API.name:
        VALIDATORS["command"].validate(event)
        return "command"
    if topic == topics.COMMANDS.name:
        kind = JOBS[event["type"]]
    else:
        kind = "deadCommand" if event["type"] == "api.gave_up" else BODIES[topic]
    VALIDATORS[kind].validate(event)
    assert record.key.decode() == event["partitionkey"]
    assert topics.partition_of(event["partitionkey"]) == record.partition
    return kind


def _said(record: Any) -> str:
    headers = {name: value.decode() for name, value in record.headers}
    VALIDATORS["controlHeaders"].validate(headers)
    assert record.key.decode() == headers["ce_node"]
    assert topics.partition_of(headers["ce_node"]) == record.partition
    kind: str = headers["ce_type"]
    payload = CONTROL[kind]
    if payload is None:
        assert not record.value
    elif "ce_parts" not in headers:
        VALIDATORS[payload].validate(orjson.loads(record.value))
    return kind
