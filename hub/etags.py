"""ETags: which state of a record somebody has seen, and what a request wants to hold of it.

A tag has two parts, `"<record>-<shown>"`. The second changes with any byte of what this caller is shown, names of
people and of other records included, and answers If-None-Match. The first changes with the record's own values,
`updated_at` among them, and is what If-Match is about: a change is not lost because somebody else was renamed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
from aiohttp import web

from hub import responses
from hub.errors import ChangedMeanwhile
from models.resources.custom.changes import COLUMN
from models.resources.mistakes import Invalid
from models.resources.resource import Resource
from models.wire import dump

IF_MATCH, IF_NONE_MATCH, ETAG = "If-Match", "If-None-Match", "ETag"

#: What stands for any state.
ANY = ("*", "")

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_TAGS = re.compile(rf"\s*{_TAG.pattern}\s*(?:,\s*{_TAG.pattern}\s*)*")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The states in which a record is to be changed; None means any state."""

    versions: frozenset[str] | None

    def check(self, resource: Resource, shown: Mapping[str, Any]) -> None:
        """Raise ChangedMeanwhile unless the record, as it is shown to the caller, is in one of the states."""
        if self.versions is not None and _version(resource, shown) not in self.versions:
            raise ChangedMeanwhile


def wanted(request: web.Request) -> Wanted | None:
    """What If-Match says; None if it is not there. Raises Invalid for what is no list of tags."""
    if (tags := _tags(request, IF_MATCH)) is None:
        return None
    # A weak tag never matches here.
    versions = frozenset(text.partition("-")[0] for weak, text in tags if not weak)
    return Wanted(versions=None if ANY in tags else versions)


def respond(request: web.Request, resource: Resource, shown: Mapping[str, Any], *, status: int = 200) -> web.Response:
    """A record with its tag; 304 and no body if the caller says that they have it."""
    body = dump(shown)
    tag = _tag(resource, shown, body)
    if request.method == "GET" and (known := _tags(request, IF_NONE_MATCH)) is not None:
        if ANY in known or any(f'"{text}"' == tag for _, text in known):
            return web.Response(status=304, headers={ETAG: tag})
    return responses.ready(body, status=status, headers={ETAG: tag})


def mark(resource: Resource, answer: web.Response) -> web.Response:
    """The answer with the tag of the record in it."""
    assert isinstance(answer.body, bytes)
    answer.headers[ETAG] = _tag(resource, orjson.loads(answer.body), answer.body)
    return answer


def _tag(resource: Resource, shown: Mapping[str, Any], body: bytes) -> str:
    return f'"{_version(resource, shown)}-{_digest(body)}"'


def _version(resource: Resource, shown: Mapping[str, Any]) -> str:
    return _digest(dump({name: shown[name] for name in (*resource.stored, COLUMN) if name in shown}))


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=8).hexdigest()


def _tags(request: web.Request, header: str) -> list[tuple[str, str]] | None:
    """The tags in a header as (weak or not, text), None if it is not there. Raises Invalid."""
    given = request.headers.getall(header, None)
    if given is None:
        return None
    text = ",".join(given).strip()
    if text == "*":
        return [ANY]
    if not _TAGS.fullmatch(text):
        raise Invalid({header: ["Must be ETags in double quotes with commas between them, or *."]})
    return [(weak, tag) for weak, tag in _TAG.findall(text)]
