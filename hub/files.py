"""Files under /api/v1/files/: uploading them, and getting them back by whoever sees a record that refers to them."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
from aiohttp import BodyPartReader, web

from hub import forms
from hub.definitions import DEFINITIONS
from hub.errors import NotFound, TooLarge, Unavailable
from hub.keys import POOL, SETTINGS
from hub.media_types import recognised
from hub.openapi.operation import Content, Operation, documented
from hub.openapi.shapes import ANYTHING, COUNT, TEXT, Named, fields
from hub.requests import VIEWER, context
from hub.responses import respond
from models.access import Role, Viewer
from models.blobs import CHUNK, LOCK, Blobs, Taken, TooLong
from models.database import Context, change
from models.resources.catalogue import RESOURCES
from models.resources.content_types import CUSTOMISED
from models.resources.custom.changes import COLUMN
from models.resources.kinds import Moment, Uuid
from models.resources.mistakes import Invalid

BLOBS = web.AppKey("blobs", Blobs)

INSERT = """
INSERT INTO crm_files (name, size, media_type, sha256, uploaded_by_id) VALUES ($1, $2, $3, $4, $5) RETURNING *
"""

#: Whether the record a file belongs to still refers to it.
REFERRED = " ".join(
    [
        "CASE f.object_type",
        *(
            f"WHEN '{entity}' THEN EXISTS (SELECT FROM {RESOURCES[entity].table} r"
            f" WHERE r.id = f.object_id AND r.{COLUMN} ->> f.field = f.id::text)"
            for entity in CUSTOMISED.values()
        ),
        "ELSE false END",
    ]
)
MARK = f"""
UPDATE crm_files f SET unused_since = CASE WHEN unused_since IS NULL THEN now() END
WHERE (unused_since IS NULL) <> ({REFERRED})
"""
FORGET = f"""
DELETE FROM crm_files f WHERE unused_since < now() - interval '1 day' AND NOT ({REFERRED}) RETURNING sha256
"""


class Elsewhere(Unavailable):
    """The content of this file cannot be reached from here; try again."""


FILE = Named(
    "File",
    fields(
        id=Uuid(),
        name=TEXT,
        size=COUNT,
        content_type=TEXT,
        sha256={**TEXT, "pattern": "^[0-9a-f]{64}$"},
        url=TEXT,
        created_at=Moment(),
    ),
)
CONTENT = Content("*/*", ANYTHING)


@documented(
    Operation(
        body=Content("multipart/form-data", fields({forms.FILE: {**TEXT, "format": "binary", "minLength": 1}})),
        answers={201: FILE},
        refusals=(Unavailable,),
    )
)
async def upload(request: web.Request) -> web.Response:
    """Take a file, in a multipart part named `file`."""
    settings, blobs = request.app[SETTINGS], request.app[BLOBS]
    part = await _part(request)
    name = _name(part.filename or "")
    most = settings.file_megabytes * 1024 * 1024
    try:
        async with blobs.taking(forms.pieces(part, 64 * 1024), most) as taken:
            if taken.size == 0:
                raise Invalid({forms.FILE: ["The file is empty."]})
            allowed = settings.file_types.split(",")
            media_type = await asyncio.to_thread(recognised, taken.path, name, allowed)
            if media_type is None:
                raise Invalid({forms.FILE: [f"By its content this is none of {', '.join(allowed)}."]})
            return respond(_shown(await _kept(request, taken, name, media_type)), status=201)
    except TooLong:
        raise TooLarge(most) from None


@documented(
    Operation(
        # As a file is answered to Range, If-None-Match, If-Match and their kin.
        answers={200: CONTENT, 206: CONTENT, 304: None, 412: None, 416: None},
        path={"id": Uuid()},
        refusals=(Elsewhere, Unavailable),
    )
)
async def download(request: web.Request) -> web.StreamResponse:
    """The content of a file, to be saved, never shown by the browser itself."""
    row = await _readable(request)
    blobs = request.app[BLOBS]
    if not await blobs.there(row["sha256"]):
        raise Elsewhere
    plain = row["name"].encode("ascii", "replace").decode().replace('"', "'").replace("\\", "_").replace("?", "_")
    headers = {
        "Content-Type": row["media_type"],
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(row['name'], safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
    }
    return web.FileResponse(blobs.path(row["sha256"]), headers=headers, chunk_size=CHUNK)


@documented(Operation(answers={200: FILE}, path={"id": Uuid()}))
async def info(request: web.Request) -> web.Response:
    """What a file is."""
    return respond(_shown(await _readable(request)))


async def sweep(pool: asyncpg.Pool, blobs: Blobs) -> None:
    """Remove files to which no record has referred for a day."""
    async with change(pool, Context(source="sweep")) as connection:
        await connection.execute(MARK)
        gone = {row["sha256"] for row in await connection.fetch(FORGET)}
    for sha256 in gone:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK, sha256)
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM crm_files WHERE sha256 = $1)", sha256):
                await blobs.remove(sha256)
    await blobs.remove_stale()


async def _part(request: web.Request) -> BodyPartReader:
    """The part with the file, which is the first. Raises Invalid."""
    part = await anext(forms.parts(request), None)
    if part is not None and part.name == forms.FILE and part.filename:
        return part
    raise Invalid({forms.FILE: ["Send the file in a part named file, with a file name."]})


def _name(given: str) -> str:
    """The last part of a file's name, without what could mislead."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", given)[-1])
    name = "".join(letter for letter in name if unicodedata.category(letter)[0] != "C").strip()
    if not name.strip("."):
        raise Invalid({forms.FILE: ["The file needs a name."]})
    stem, dot, ending = name.rpartition(".")
    return name if len(name) <= 255 else f"{stem[: 255 - len(dot + ending[:20])]}{dot}{ending[:20]}"


async def _kept(request: web.Request, taken: Taken, name: str, media_type: str) -> Mapping[str, Any]:
    async with change(request.app[POOL], context(request)) as connection:
        await connection.execute(LOCK, taken.sha256)
        await request.app[BLOBS].keep(taken)
        row: Mapping[str, Any] = await connection.fetchrow(
            INSERT, name, taken.size, media_type, taken.sha256, request[VIEWER].id
        )
    return row


async def _readable(request: web.Request) -> Mapping[str, Any]:
    """The file in the URL. Raises NotFound if the caller may not have it."""
    try:
        key = UUID(request.match_info["id"])
    except ValueError:
        raise NotFound from None
    row: Mapping[str, Any] | None = await request.app[POOL].fetchrow("SELECT * FROM crm_files WHERE id = $1", key)
    if row is None or not await _may_have(request, row, request[VIEWER]):
        raise NotFound
    return row


async def _may_have(request: web.Request, row: Mapping[str, Any], viewer: Viewer) -> bool:
    if viewer.role is Role.ADMIN or row["uploaded_by_id"] == viewer.id:
        return True
    entity = row["object_type"]
    if row["field"] not in request.app[DEFINITIONS].now.seen(entity, viewer.role):
        return False
    record = await RESOURCES[entity].detailed.one(row["object_id"])
    return (
        record is not None
        and RESOURCES[entity].seen(record, "", viewer)
        and record[COLUMN].get(row["field"]) == str(row["id"])
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "size": row["size"],
        "content_type": row["media_type"],
        "sha256": row["sha256"],
        "url": f"/api/v1/files/{row['id']}/",
        "created_at": row["created_at"],
    }
