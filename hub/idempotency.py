"""Creating requests that may be repeated: the same Idempotency-Key gives the first answer again.

A key belongs to user, method and path, and is kept for a day with a hash of the body and the answer. It is claimed by
the first statement of the request's own transaction, so a repeat that comes while the first is still at work waits
for it: it gets that answer, or does the work itself if the first rolled back. Only what was committed is repeated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web
from tortoise.backends.base.client import BaseDBAsyncClient

from hub import responses
from hub.errors import Forbidden, KeyReused
from hub.requests import VIEWER, context
from models.database import transaction
from models.resources.mistakes import Invalid
from models.wire import dump

HEADER = "Idempotency-Key"
#: On an answer that was given before.
REPEATED = "Idempotency-Replayed"

#: An expired key is taken over as if it were new.
CLAIM = """
INSERT INTO idempotency_keys AS held (user_id, method, path, key, body_hash) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id, method, path, key) DO UPDATE
    SET body_hash = excluded.body_hash, status = NULL, answer = NULL, created_at = now()
    WHERE held.created_at < now() - interval '24 hours'
RETURNING true
"""
HELD = """
SELECT body_hash, status, answer FROM idempotency_keys WHERE user_id = $1 AND method = $2 AND path = $3 AND key = $4
"""
KEEP = """
UPDATE idempotency_keys SET status = $5, answer = $6 WHERE user_id = $1 AND method = $2 AND path = $3 AND key = $4
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a creating request answers."""

    status: int
    body: dict[str, Any]


#: Does the work, in one statement or in a `transaction`: there is none around it unless the request has a key.
Work = Callable[[], Awaitable[Answer]]
#: Whether the caller may still have the answer with this body.
Permitted = Callable[[dict[str, Any]], Awaitable[bool]]


async def once(request: web.Request, raw: bytes, work: Work, permitted: Permitted) -> web.Response:
    """Do the work, or give the answer it had under the same key.

    Raises KeyReused if the key came with another body, Forbidden if the caller may not have that answer any more,
    Invalid for a key that is none.
    """
    key = _key(request)
    if key is None:
        answer = await work()
        return responses.respond(answer.body, status=answer.status)
    async with transaction(context(request)) as connection:
        scope = [request[VIEWER].id, request.method, request.path.rstrip("/"), key]
        digest = hashlib.sha256(raw).digest()
        claimed = await connection.execute_query_dict(CLAIM, [*scope, digest])
        if not claimed:
            return await _repeat(connection, scope, digest, permitted)
        answer = await work()
        body = dump(answer.body)
        await connection.execute_query(KEEP, [*scope, answer.status, body.decode()])
    return responses.ready(body, status=answer.status)


def _key(request: web.Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise Invalid({HEADER: ["Must be 1 to 255 visible ASCII characters."]})
    return key


async def _repeat(connection: BaseDBAsyncClient, scope: list[Any], digest: bytes, permitted: Permitted) -> web.Response:
    (held,) = await connection.execute_query_dict(HELD, scope)
    if bytes(held["body_hash"]) != digest:
        raise KeyReused
    if not await permitted(orjson.loads(held["answer"])):
        raise Forbidden
    return responses.ready(held["answer"].encode(), status=held["status"], headers={REPEATED: "true"})
