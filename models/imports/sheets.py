"""An XLSX file written as it is read: rows in, bytes out, nothing kept but the piece that is being packed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import RawIOBase
from typing import IO, Any

#: Rows a sheet can have; what is beyond goes onto the next one.
MOST_ROWS = 1_048_576
#: Digits a spreadsheet keeps of a number.
DIGITS = 15

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"

#: What XML cannot hold, and what would be read as standing for it.
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class _Sink(RawIOBase):
    """Where the packer writes, and what is taken from it."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since."""
        held, self._held = b"".join(self._held), []
        return held


class Workbook:
    """A file of one table; `numbers` says which columns are numbers."""

    def __init__(self, header: Sequence[str], numbers: Sequence[bool]) -> None:
        self._header, self._numbers = header, numbers
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._sheets = 0
        self._rows = 0
        self._sheet: IO[bytes] | None = None

    def add(self, rows: Iterable[Sequence[str | None]]) -> bytes:
        """The bytes that follow, with these rows."""
        made: list[str] = []
        for row in rows:
            if self._sheet is None or self._rows == MOST_ROWS:
                self._flush(made)
                self._begin()
            self._rows += 1
            made.append("<row>" + "".join(map(_cell, row, self._numbers)) + "</row>")
        self._flush(made)
        return self._sink.taken()

    def end(self) -> bytes:
        """The last bytes."""
        if self._sheet is None:
            self._begin()
        self._close()
        sheets = range(1, self._sheets + 1)
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_SHEET}.worksheet+xml"/>' for n in sheets
        )
        self._part(
            "[Content_Types].xml",
            f'<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package'
            f'.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{_SHEET}.sheet.main+xml"/>'
            f"{parts}</Types>",
        )
        self._part("_rels/.rels", _relations([("officeDocument", "xl/workbook.xml")]))
        self._part(
            "xl/_rels/workbook.xml.rels", _relations([("worksheet", f"worksheets/sheet{n}.xml") for n in sheets])
        )
        named = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="rId{n}"/>' for n in sheets)
        self._part(
            "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}"><sheets>{named}</sheets></workbook>'
        )
        self._zip.close()
        return self._sink.taken()

    def abandon(self) -> None:
        """Leave it as it is."""
        with suppress(ValueError):
            self._close()
            self._zip.close()

    def _begin(self) -> None:
        self._close()
        self._sheets += 1
        self._rows = 1
        self._sheet = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w", force_zip64=True)
        header = "".join(_cell(name, False) for name in self._header)
        self._sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData><row>{header}</row>'.encode())

    def _flush(self, made: list[str]) -> None:
        if self._sheet is not None and made:
            self._sheet.write("".join(made).encode("utf-8", "replace"))
            made.clear()

    def _close(self) -> None:
        if self._sheet is not None:
            self._sheet.write(b"</sheetData></worksheet>")
            self._sheet.close()
            self._sheet = None

    def _part(self, name: str, text: str) -> None:
        self._zip.writestr(name, _HEAD + text)


def _cell(text: str | None, number: bool) -> str:
    if not text:
        return "<c/>"
    if number and len(text) <= DIGITS:
        return f"<c><v>{text}</v></c>"
    if _UNSPEAKABLE.search(text):
        text = _UNSPEAKABLE.sub(lambda match: f"_x{ord(match[0]):04X}_", text)
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text.translate(_MARKUP)}</t></is></c>'


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    each = "".join(
        f'<Relationship Id="rId{n}" Type="{_DOCUMENT}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_RELATIONS}">{each}</Relationships>'
