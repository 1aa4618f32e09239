"""Records of a CSV file, read from anywhere in it: a piece of bytes in, whole records out, and how far they reach.

Wherever a reader stopped, another can go on: a place in the file is a number of bytes, never a parser's state.
"""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass

from models.resources.mistakes import Mistake

#: Characters a cell may have.
LONGEST_CELL = 128 * 1024


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Records that stand whole in a piece of a file."""

    records: list[list[str]]
    #: Bytes they take.
    size: int


def records(data: bytes, encoding: str, delimiter: str, *, first: bool, last: bool) -> Piece:
    """The whole records at the beginning of `data`; none if the first of them does not end in it.

    `first` and `last` say whether the piece is the beginning and the end of the file. Raises Mistake for bytes that
    are not of the encoding and for a cell that is too long.
    """
    try:
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        text = decoder.decode(data, last)
    except UnicodeDecodeError as error:
        raise Mistake(f"The file is not {encoding}: bytes {data[error.start : error.end].hex(' ')}.") from None
    mark = text.startswith("\ufeff") and first
    lines = list(io.StringIO(text[1:] if mark else text, newline=""))
    found: list[list[str]] = []
    #: Lines before the last record, and with it.
    before = after = 0
    reader = csv.reader(iter(lines), delimiter=delimiter)
    try:
        for record in reader:
            found.append(record)
            before, after = after, reader.line_num
    except csv.Error:
        raise Mistake(
            f"A cell has more than {LONGEST_CELL:,} characters; perhaps a quotation mark is not closed."
        ) from None
    if last:
        return Piece(records=found, size=len(data))
    # The last one may go on in the next piece.
    whole = lines[:before]
    size = sum(len(line.encode(encoding)) for line in whole) + (len("\ufeff".encode(encoding)) if mark else 0)
    return Piece(records=found[:-1], size=size if found[:-1] else 0)
