"""The records of an uploaded file from any place in it on, out of its pieces in Postgres."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import IO
from uuid import UUID

import asyncpg

from models.imports import pieces, workbook
from models.imports.detection import Form
from models.resources.mistakes import Mistake
from models.uploads import PIECE
from streams.steps import CannotGoOn

#: Bytes of a CSV file, and rows of a spreadsheet, that are read in one step.
STEP_BYTES = 512 * 1024
STEP_ROWS = 4000
#: The longest record of a CSV file.
LONGEST_RECORD = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Records, and where the next ones begin: bytes of a CSV file, rows of a spreadsheet."""

    records: list[list[str]]
    at: int
    ended: bool


async def take(connection: asyncpg.Connection, import_id: UUID, size: int, form: Form, at: int) -> Taken:
    """The next records. Raises CannotGoOn for a file that cannot be read from there."""
    try:
        if form.format == "xlsx":
            return await _rows(connection, import_id, at)
        return await _records(connection, import_id, size, form, at)
    except Mistake as mistake:
        raise CannotGoOn(str(mistake)) from mistake


async def _records(connection: asyncpg.Connection, import_id: UUID, size: int, form: Form, at: int) -> Taken:
    length = STEP_BYTES
    while True:
        data = await _bytes(connection, import_id, at, length)
        last = at + len(data) >= size
        piece = pieces.records(data, form.encoding, form.delimiter, first=at == 0, last=last)
        if piece.records or last:
            return Taken(records=piece.records, at=at + piece.size, ended=last)
        if length >= LONGEST_RECORD:
            raise Mistake(f"A row has more than {LONGEST_RECORD:,} bytes; perhaps a quotation mark is not closed.")
        length *= 4


async def _bytes(connection: asyncpg.Connection, import_id: UUID, at: int, length: int) -> bytes:
    rows = await connection.fetch(
        "SELECT data FROM import_pieces WHERE import_id = $1 AND n BETWEEN $2 AND $3 ORDER BY n",
        import_id,
        at // PIECE,
        (at + length - 1) // PIECE,
    )
    begin = at % PIECE
    return b"".join(row["data"] for row in rows)[begin : begin + length]


@dataclass
class _Book:
    """A spreadsheet that is being read, kept open from step to step."""

    file: IO[bytes]
    rows: Iterator[list[str]]
    at: int = field(default=0)


#: The spreadsheets read at present, the one used last at the end. A worker that has none reads from the beginning.
_books: dict[UUID, _Book] = {}
_MOST_BOOKS = 2


async def _rows(connection: asyncpg.Connection, import_id: UUID, at: int) -> Taken:
    book = _books.pop(import_id, None)
    if book is None or book.at > at:
        if book is not None:
            book.file.close()
        book = await _open(connection, import_id)
    try:
        records = await asyncio.to_thread(_advance, book, at)
    except BaseException:
        book.file.close()
        raise
    ended = len(records) < STEP_ROWS
    if ended:
        book.file.close()
    else:
        _books[import_id] = book
        while len(_books) > _MOST_BOOKS:
            _books.pop(next(iter(_books))).file.close()
    return Taken(records=records, at=at + len(records), ended=ended)


def _advance(book: _Book, at: int) -> list[list[str]]:
    """The rows from there on."""
    for _ in islice(book.rows, at - book.at):
        pass
    records = list(islice(book.rows, STEP_ROWS))
    book.at = at + len(records)
    return records


async def _open(connection: asyncpg.Connection, import_id: UUID) -> _Book:
    """The spreadsheet in a file of this machine, which goes when it is closed."""
    file = tempfile.TemporaryFile()
    try:
        await copied(connection, import_id, file)
        await asyncio.to_thread(workbook.check, file)
    except BaseException:
        file.close()
        raise
    return _Book(file=file, rows=workbook.records(file))


async def copied(connection: asyncpg.Connection, import_id: UUID, file: IO[bytes]) -> None:
    """Write a file's pieces into another one."""
    n = 0
    while piece := await connection.fetchval(
        "SELECT data FROM import_pieces WHERE import_id = $1 AND n = $2", import_id, n
    ):
        file.write(piece)
        n += 1


def forget() -> None:
    """Close every spreadsheet that is open."""
    while _books:
        _, book = _books.popitem()
        with closing(book.file):
            pass
