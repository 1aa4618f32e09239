"""What a step of a job is: one chunk of its work, done in the transaction that notes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from models.access import Viewer


class CannotGoOn(Exception):
    """The job cannot be finished; the sentence is for whoever began it."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job as its next step finds it."""

    id: UUID
    step: int
    #: Whoever began it, with the role they have now.
    viewer: Viewer
    parameters: Mapping[str, Any]
    #: What the step before left; empty at the first.
    state: Mapping[str, Any]
    total: int
    done: int
    failed: int
    result: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a step did. Numbers add to the job's; None leaves what is there."""

    finished: bool
    done: int = 0
    failed: int = 0
    total: int | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    #: How many records others were given by it, by user id; their kind is the `entity` in the job's parameters.
    #: Each of these users is told once, with the number, when the job has ended.
    assigned: Mapping[int, int] = field(default_factory=dict)


#: Does one chunk, well under two seconds, on a connection in a transaction whose changes are captured as the job's.
#: Raises CannotGoOn to fail the job; what the step did is undone then.
Step = Callable[[asyncpg.Connection, Work], Awaitable[Progress]]
