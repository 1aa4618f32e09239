"""Files on their way in: from a multipart body into Postgres, piece by piece, and a look at what they are."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any
from uuid import UUID, uuid4

import asyncpg
from aiohttp import BodyPartReader, web

from hub import forms
from hub.errors import TooLarge
from hub.forms import FILE
from hub.keys import POOL, SETTINGS
from hub.requests import VIEWER
from models.imports import detection, workbook
from models.imports.detection import Encoding, Form
from models.resources.mistakes import Invalid, Mistake
from models.uploads import PIECE

#: Bytes of a field that is not the file.
LARGEST_FIELD = 1024 * 1024
MOST_FIELDS = 50


@dataclass
class Upload:
    """A file that was received; what it is, if it can be read at all."""

    id: UUID
    name: str = ""
    size: int = 0
    detected: dict[str, Any] = field(default_factory=dict)
    #: The other fields of the body.
    fields: dict[str, str] = field(default_factory=dict)
    #: Of the file's bytes and every other field.
    digest: bytes = b""


@asynccontextmanager
async def received(request: web.Request) -> AsyncIterator[Upload]:
    """The file in a multipart body, kept unless what is done with it fails.

    Raises Invalid for a body or a file that cannot be read, TooLarge for a file over the limit.
    """
    pool, upload = request.app[POOL], Upload(id=uuid4())
    await pool.execute("INSERT INTO imports (id, created_by_id) VALUES ($1, $2)", upload.id, request[VIEWER].id)
    try:
        await _receive(request, upload)
        yield upload
    except BaseException:
        await asyncio.shield(pool.execute("DELETE FROM imports WHERE id = $1", upload.id))
        raise


async def _receive(request: web.Request, upload: Upload) -> None:
    hashed = hashlib.sha256()
    async for part in forms.parts(request):
        if part.name == FILE and not upload.size:
            await _file(request, part, upload, hashed)
        else:
            upload.fields[str(part.name)] = await _field(part)
        if len(upload.fields) > MOST_FIELDS:
            raise Invalid({FILE: [f"At most {MOST_FIELDS} fields are read."]})
    if not upload.size:
        raise Invalid({FILE: ["Give a file that is not empty."]})
    hashed.update(repr(sorted(upload.fields.items())).encode())
    upload.digest = hashed.digest()


async def _field(part: BodyPartReader) -> str:
    value = b""
    async for piece in forms.pieces(part, PIECE):
        value += piece
        if len(value) > LARGEST_FIELD:
            raise TooLarge(LARGEST_FIELD)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Invalid({str(part.name): ["Must be text in UTF-8."]}) from None


async def _file(request: web.Request, part: BodyPartReader, upload: Upload, hashed: Any) -> None:
    most = request.app[SETTINGS].import_megabytes * 1024 * 1024
    upload.name = (part.filename or "").replace("\\", "/").rpartition("/")[2].replace("\0", "")[:255]
    encoding = Encoding()
    with tempfile.TemporaryFile() as copy:
        async for piece in _pieces(part):
            if upload.size + len(piece) > most:
                raise TooLarge(most)
            await _keep(request.app[POOL], upload, piece)
            hashed.update(piece)
            encoding.feed(piece)
            upload.size += len(piece)
            if encoding.head.startswith(workbook.MAGIC):
                await asyncio.to_thread(copy.write, piece)
        try:
            upload.detected = await _detected(encoding, copy)
        except Mistake as mistake:
            raise Invalid({FILE: [str(mistake)]}) from mistake


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    """The file in pieces of one size but for the last."""
    held = bytearray()
    async for piece in forms.pieces(part, PIECE):
        held += piece
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    if held:
        yield bytes(held)


async def _keep(pool: asyncpg.Pool, upload: Upload, piece: bytes) -> None:
    n = upload.size // PIECE
    await pool.execute("INSERT INTO import_pieces (import_id, n, data) VALUES ($1, $2, $3)", upload.id, n, piece)


async def _detected(encoding: Encoding, copy: IO[bytes]) -> dict[str, Any]:
    if encoding.head.startswith(workbook.MAGIC):
        rows = await asyncio.to_thread(_first_rows, copy)
        form, lines = detection.judged(Form(format="xlsx"), rows), 0
    else:
        form, rows = detection.csv_form(encoding)
        lines = encoding.lines
    if not rows or not any(cell.strip() for row in rows for cell in row):
        raise Mistake("There are no rows in the file.")
    return detection.described(form, rows, lines)


def _first_rows(file: IO[bytes]) -> list[list[str]]:
    workbook.check(file)
    return list(islice(workbook.records(file), detection.SAMPLE))


async def looked_at_again(pool: asyncpg.Pool, id: UUID, detected: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """What a file is when it is read otherwise than was detected."""
    rows = detected["rows"]
    if form.format == "csv":
        head = await pool.fetchval("SELECT data FROM import_pieces WHERE import_id = $1 AND n = 0", id)
        rows = detection.sample(detection.beginning(head, form.encoding), form.delimiter)
    return detection.described(form, rows, detected["lines"])
