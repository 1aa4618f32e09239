"""XLSX files: refused if they are made to fill memory, read row by row as texts.

What a spreadsheet file says about its sizes is held against limits before anything is unpacked; zipfile reads no more
of a part than it says.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import IO, Any

import openpyxl

from models.resources.mistakes import Mistake

MAGIC = b"PK\x03\x04"

#: What the parts of a file may be together, unpacked, and its table of texts, which is held in memory: bytes.
LARGEST = 2 * 1024**3
LARGEST_TEXTS = 64 * 1024**2
#: How many times its packed size a part over a megabyte may be.
MOST_PACKED = 200
MOST_PARTS = 1000
MOST_COLUMNS = 1000
LONGEST_CELL = 128 * 1024

NOT_ONE = "The file is not a spreadsheet that can be read."


def check(file: IO[bytes]) -> None:
    """Raise Mistake for what is no XLSX file, or one that would unpack to something huge."""
    try:
        with zipfile.ZipFile(file) as parts:
            _check_sizes(parts)
            for info in parts.infolist():
                if info.filename.endswith((".xml", ".rels")):
                    with parts.open(info) as part:
                        if b"<!DOCTYPE" in part.read(1024).upper():
                            raise Mistake("The spreadsheet has document types in it, which are not read.")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zipfile.LargeZipFile):
        raise Mistake(NOT_ONE) from None


def _check_sizes(parts: zipfile.ZipFile) -> None:
    infos = parts.infolist()
    if len(infos) > MOST_PARTS:
        raise Mistake(f"The spreadsheet has {len(infos):,} parts; at most {MOST_PARTS:,} are read.")
    if (total := sum(info.file_size for info in infos)) > LARGEST:
        raise Mistake(f"The spreadsheet unpacks to {total:,} bytes; at most {LARGEST:,} are read.")
    for info in infos:
        if info.file_size > 1024**2 and info.file_size > MOST_PACKED * max(1, info.compress_size):
            raise Mistake("The spreadsheet unpacks to very much more than it is, which is not read.")
        if not info.filename.startswith("xl/worksheets/") and info.file_size > LARGEST_TEXTS:
            raise Mistake(
                f"A part of the spreadsheet has {info.file_size:,} bytes; at most {LARGEST_TEXTS:,} are read."
            )


def records(file: IO[bytes]) -> Iterator[list[str]]:
    """The rows of the first sheet as texts, as long as they go; empty rows too. Raises Mistake."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            sheet = book.worksheets[0]
            # What the sheet says of its own size is not to be trusted.
            sheet.reset_dimensions()
            yield from (_record(row) for row in sheet.iter_rows(values_only=True))
    except Mistake:
        raise
    except Exception as error:  # whatever a broken file makes the library do
        if isinstance(error, MemoryError):
            raise
        raise Mistake(NOT_ONE) from error


def _record(row: tuple[Any, ...]) -> list[str]:
    if len(row) > MOST_COLUMNS:
        raise Mistake(f"A row of the spreadsheet has {len(row):,} columns; at most {MOST_COLUMNS:,} are read.")
    return [_text(value) for value in row]


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            if len(value) > LONGEST_CELL:
                raise Mistake(f"A cell has {len(value):,} characters; at most {LONGEST_CELL:,} are read.")
            return _XML_ESCAPE.sub(lambda match: chr(int(match[1], 16)), value) if "_x" in value else value
        case bool():
            return str(value).lower()
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case float():
            return format(value, ".15g")
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date() | time():
            return value.isoformat()
    return str(value)


#: How XLSX writes characters that XML has no place for.
_XML_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
