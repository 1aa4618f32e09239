"""Surveys: questions of one node to others, and their answers.

An answer is JSON, cut into parts that fit into records. Who does not answer in time is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import count
from typing import Any

import orjson
import structlog
from prometheus_client import Counter

from hub.control_records import ANSWER, SURVEY, Heard
from hub.voice import Voice

log = structlog.get_logger()

#: Bytes of an answer in one record, and of a whole one.
PART, LARGEST_ANSWER = 512 * 1024, 32 * 1024 * 1024

SURVEYS = Counter("hub_surveys_total", "Answers of other nodes to surveys of this one", ["outcome"])


class Survey:
    """One question to some nodes, and what they answered so far."""

    def __init__(self, nodes: Collection[str]) -> None:
        #: Nodes whose answer has not come yet.
        self.missing = set(nodes)
        self.answers: dict[str, Any] = {}
        self.done = asyncio.Event()
        self._parts: dict[str, list[bytes]] = {}

    def take(self, heard: Heard) -> None:
        """Take a part of an answer; they come in order. When one was lost, the answer is not used."""
        if heard.node not in self.missing:
            return
        parts = self._parts.setdefault(heard.node, [])
        if heard.part == len(parts):
            parts.append(heard.value)
            if len(parts) == heard.parts:
                self._answered(heard.node, b"".join(parts))

    def keep(self, living: Collection[str]) -> None:
        """Wait for none that is gone."""
        self.missing &= set(living)
        self._check()

    def _answered(self, node: str, value: bytes) -> None:
        self.missing.discard(node)
        try:
            self.answers[node] = read(value)
        except ValueError as error:
            log.warning("survey_not_answered", node=node, error=str(error))
        self._check()

    def _check(self) -> None:
        if not self.missing:
            self.done.set()


class Surveys:
    """The questions of one node that are open."""

    def __init__(self, node: str, voice: Voice) -> None:
        self._node = node
        self._voice = voice
        self._ids = count(1)
        self._open: dict[str, Survey] = {}

    async def ask(
        self, nodes: Collection[str], name: str, request: bytes, *, within: float, **attributes: str
    ) -> dict[str, Any]:
        """Answers of these nodes, by uid; those that did not answer within so many seconds are left out."""
        if not nodes:
            return {}
        id = f"{self._node}-{next(self._ids)}"
        survey = self._open[id] = Survey(nodes)
        try:
            async with asyncio.timeout(within):
                await self._voice.say(SURVEY, request, survey=id, **attributes)
                await survey.done.wait()
        except TimeoutError:
            log.warning("survey_missed", name=name, nodes=sorted(survey.missing))
        finally:
            del self._open[id]
        SURVEYS.labels("answered").inc(len(survey.answers))
        SURVEYS.labels("missed").inc(len(nodes) - len(survey.answers))
        return survey.answers

    def take(self, heard: Heard) -> None:
        """A part of an answer to this node."""
        if (survey := self._open.get(heard.survey)) is not None:
            survey.take(heard)

    def keep(self, living: Collection[str]) -> None:
        """Wait only for nodes that are alive."""
        for survey in self._open.values():
            survey.keep(living)

    async def answer(self, asked: Heard, body: bytes) -> None:
        """Answer what another node asked."""
        if len(body) > LARGEST_ANSWER:
            body = failure(f"the answer has {len(body)} bytes")
        parts = [body[at : at + PART] for at in range(0, len(body), PART)]
        for part, value in enumerate(parts):
            where = {"part": str(part), "parts": str(len(parts))} if len(parts) > 1 else {}
            if not await self._voice.say(ANSWER, value, to=asked.node, survey=asked.survey, **where):
                return


def success(answer: Any) -> bytes:
    """The body of an answer. Raises TypeError if it is not JSON."""
    return orjson.dumps({"answer": answer})


def failure(error: str) -> bytes:
    """The body that stands for none."""
    return orjson.dumps({"error": error})


def read(body: bytes) -> Any:
    """The answer in a body. Raises ValueError, with what the node said instead."""
    read = orjson.loads(body)
    if not isinstance(read, dict) or "answer" not in read:
        raise ValueError(read.get("error", "") if isinstance(read, dict) else "not an answer")
    return read["answer"]
