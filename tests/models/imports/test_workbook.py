"""Spreadsheets are read row by row, and refused before they fill memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import date, datetime

import openpyxl
import pytest

from models.imports import sheets, workbook
from models.resources.mistakes import Mistake

SHEET = "xl/worksheets/sheet1.xml"


def packed(parts: Mapping[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file


def ours(rows: list[list[str | None]], header: list[str]) -> io.BytesIO:
    book = sheets.Workbook(header, [False] * len(header))
    return io.BytesIO(book.add(rows) + book.end())


def test_values_as_texts() -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["a", 7, 1.5, 3.0, True, None, date(2024, 2, 1), datetime(2024, 2, 1, 10, 30), "_x0041_"])
    file = io.BytesIO()
    book.save(file)
    workbook.check(file)
    assert list(workbook.records(file)) == [
        ["a", "7", "1.5", "3", "true", "", "2024-02-01", "2024-02-01T10:30:00", "A"],
    ]  # fmt: skip


def test_ours_are_read_again() -> None:
    rows: list[list[str | None]] = [["=1", "<&>", " _x0041_ "], [None, "\x01\r\n\t", "é"]]
    file = ours(rows, ["a", "b", "c"])
    workbook.check(file)
    assert list(workbook.records(file)) == [["a", "b", "c"], ["=1", "<&>", " _x0041_ "], ["", "\x01\r\n\t", "é"]]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({SHEET: b"0" * 50_000_000}, "very much more"),
        ({"xl/sharedStrings.xml": bytes(range(256)) * 300_000}, "very much more|A part of"),
        ({f"xl/{n}.xml": b"" for n in range(1001)}, "parts"),
        ({SHEET: b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'}, "document types"),
    ],
)
def test_bombs(parts: Mapping[str, bytes], said: str) -> None:
    with pytest.raises(Mistake, match=said):
        workbook.check(packed(parts))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04nothing", b"no zip at all"])
def test_no_spreadsheet(data: bytes) -> None:
    with pytest.raises(Mistake, match="not a spreadsheet"):
        workbook.check(io.BytesIO(data))


def test_a_broken_one() -> None:
    with pytest.raises(Mistake, match="not a spreadsheet"):
        list(workbook.records(packed({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<no"})))


def test_what_it_says_of_its_size_is_not_believed() -> None:
    """One cell far below makes a million empty rows, not a million wide ones."""
    text = ours([["x"]], ["a"]).getvalue()
    with zipfile.ZipFile(io.BytesIO(text)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    row = b'<row r="3000"><c r="XFD3000" t="inlineStr"><is><t>far</t></is></c></row></sheetData>'
    parts[SHEET] = parts[SHEET].replace(b"</sheetData>", row)
    file = packed(parts)
    with pytest.raises(Mistake, match="columns"):
        list(workbook.records(file))
