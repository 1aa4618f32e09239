"""Every agent there is. `main.py worker --agents` chooses among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams import bulk, custom_fields, custom_indexes, jobs
from streams.agent import Agent
from streams.audit import AUDIT
from streams.imports import steps as imports
from streams.live import LIVE
from streams.notifications import NOTIFICATIONS
from streams.steps import Step
from streams.timeline import TIMELINE

#: The kinds of jobs, and the step of each.
KINDS: Mapping[str, Step] = {
    **dict.fromkeys(bulk.KINDS, bulk.step),
    "custom_field": custom_fields.rewrite,
    "custom_field_index": custom_indexes.build,
    "custom_field_search": custom_fields.search,
    "import": imports.step,
    "import_undo": imports.undo,
}

AGENTS = {agent.name: agent for agent in (AUDIT, TIMELINE, LIVE, NOTIFICATIONS, jobs.agent(KINDS))}


class UnknownAgent(Exception):
    """There is no agent of that name."""


def named(name: str) -> Agent:
    """The agent of this name. Raises UnknownAgent, which names those there are."""
    try:
        return AGENTS[name]
    except KeyError:
        raise UnknownAgent(f"There is no agent {name!r}. Agents are: {', '.join(AGENTS)}.") from None


def chosen(names: Iterable[str]) -> list[Agent]:
    """The agents of these names, all of them when there are none. Raises UnknownAgent."""
    return [named(name) for name in names] or list(AGENTS.values())
