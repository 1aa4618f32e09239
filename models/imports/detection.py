"""What a file of rows is written in, judged from its bytes: encoding, delimiter, header, dates, decimals.

The encoding is judged by every byte, the rest by the beginning. A judgement is a proposal that a user can overrule.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

#: Bytes of the beginning that are kept to judge by.
HEAD = 256 * 1024
#: Rows of the beginning that are looked at.
SAMPLE = 200
#: Rows that are shown, and characters of each cell.
SHOWN, LONGEST_SHOWN = 20, 200

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "cp1252", "latin-1")
#: Bytes that Windows' code page has no character for.
_NOT_CP1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

_NUMBER = re.compile(r"[-+]?[0-9][0-9.,]*")
_DATE = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2[0-9]{2,4}\b.*")
_COMMA = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|[0-9]{1,3}(?:\.[0-9]{3}){2,})"
)
_POINT = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+|[0-9]+\.(?:[0-9]{1,2}|[0-9]{4,})|[0-9]{1,3}(?:,[0-9]{3}){2,})"
)


class Order(StrEnum):
    """In what order a date such as 01/02/2024 is written; empty when nothing tells."""

    UNKNOWN = ""
    YEAR_FIRST = "ymd"
    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


class Point(StrEnum):
    """What stands before the decimals; empty when nothing tells."""

    UNKNOWN = ""
    POINT = "."
    COMMA = ","


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a file is read."""

    #: csv or xlsx.
    format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    #: Whether the first row names the columns.
    header: bool = True
    dates: Order = Order.UNKNOWN
    decimal: Point = Point.UNKNOWN


class Encoding:
    """Sees every byte of a file once, in pieces, and says at the end which encoding it is in."""

    def __init__(self) -> None:
        self.head = b""
        self._utf8: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._cp1252 = True
        #: Line breaks so far, about as many as there are rows.
        self.lines = 0

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        self.head += piece[: HEAD - len(self.head)]
        self.lines += piece.count(b"\n") or piece.count(b"\r")
        self._cp1252 = self._cp1252 and not any(byte in piece for byte in _NOT_CP1252)
        self._try(piece, final=False)

    def name(self) -> str:
        """One of ENCODINGS."""
        self._try(b"", final=True)
        for mark, encoding in _MARKS:
            if self.head.startswith(mark):
                return encoding
        pairs = max(1, len(self.head) // 2)
        if self.head[1::2].count(0) > 0.3 * pairs:
            return "utf-16-le"
        if self.head[0::2].count(0) > 0.3 * pairs:
            return "utf-16-be"
        if self._utf8 is not None:
            return "utf-8"
        return "cp1252" if self._cp1252 else "latin-1"

    def _try(self, piece: bytes, *, final: bool) -> None:
        if self._utf8 is not None:
            try:
                self._utf8.decode(piece, final)
            except UnicodeDecodeError:
                self._utf8 = None


def beginning(head: bytes, encoding: str) -> str:
    """The text at the beginning of a file, without its mark and without a character that was cut in two."""
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    return text.removeprefix("\ufeff")


def delimiter(text: str) -> str:
    """What stands between cells: whatever gives most rows the same number of them."""
    best, verdict = (0.0, 0), ","
    for one in DELIMITERS:
        widths = Counter(len(row) for row in sample(text, one) if row)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        score = (count / widths.total() if width > 1 else 0.0, width)
        if score > best:
            best, verdict = score, one
    return verdict


def sample(text: str, delimiter: str, rows: int = SAMPLE) -> list[list[str]]:
    """The first rows; one that may be cut off at the end of a long text is left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: list[list[str]] = []
    try:
        for row in reader:
            found.append(row)
            if len(found) > rows:
                break
    except csv.Error:  # a cell without end: what came before it is the sample
        return found[:rows]
    return found[:rows] if len(found) > rows or len(text) < HEAD // 4 else found[:-1]


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names columns: it has no number, date or address, and no name twice."""
    first = [cell.strip() for cell in rows[0]] if rows else []
    named = [cell for cell in first if cell]
    told = [_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell) or "@" in cell for cell in named]
    return bool(named) and not any(told) and len(set(named)) == len(named)


def order(rows: Sequence[Sequence[str]]) -> Order:
    """Day or month first, if some date can only be one and none only the other. Points between mean day first."""
    days = months = False
    for match in (_DATE.fullmatch(cell.strip()) for row in rows for cell in row):
        if match:
            days = days or int(match[1]) > 12 or match[2] == "."
            months = months or int(match[3]) > 12
    if days == months:
        return Order.UNKNOWN
    return Order.DAY_FIRST if days else Order.MONTH_FIRST


def point(rows: Sequence[Sequence[str]]) -> Point:
    """Decimal point or comma, if some number can only have one and none only the other."""
    cells = [cell.strip() for row in rows for cell in row]
    commas, points = (any(form.fullmatch(cell) for cell in cells) for form in (_COMMA, _POINT))
    if commas == points:
        return Point.UNKNOWN
    return Point.COMMA if commas else Point.POINT


def columns(first: Sequence[str], *, header: bool) -> list[str]:
    """A name for each column, each once: what the header says, or `Column 3`."""
    names: list[str] = []
    for number, cell in enumerate(first, 1):
        name = cell.strip().replace("\0", "") if header else ""
        name = wanted = name or f"Column {number}"
        again = 2
        while name in names:
            name, again = f"{wanted} ({again})", again + 1
        names.append(name)
    return names


def csv_form(encoding: Encoding) -> tuple[Form, list[list[str]]]:
    """How to read a CSV file whose bytes were all seen, and its first rows."""
    name = encoding.name()
    text = beginning(encoding.head, name)
    between = delimiter(text)
    rows = sample(text, between)
    return judged(Form(encoding=name, delimiter=between), rows), rows


def judged(form: Form, rows: Sequence[Sequence[str]]) -> Form:
    """The form, with what its first rows say of header, dates and decimals."""
    header = has_header(rows)
    values = rows[1:] if header else rows
    return Form(
        format=form.format,
        encoding=form.encoding,
        delimiter=form.delimiter,
        header=header,
        dates=order(values),
        decimal=point(values),
    )


def described(form: Form, rows: Sequence[Sequence[str]], lines: int) -> dict[str, object]:
    """What a user is told of a file, and what its mapping goes by: JSON."""
    shown = [[cell.replace("\0", "\ufffd")[:LONGEST_SHOWN] for cell in row] for row in rows[:SHOWN]]
    names = columns(rows[0] if rows else [], header=form.header)
    return {**asdict(form), "columns": names, "lines": lines, "rows": shown}
