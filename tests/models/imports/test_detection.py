"""What a file is written in, by vectors: bytes in, what was judged out."""

from __future__ import annotations

import codecs

import pytest

from models.imports import detection
from models.imports.detection import Encoding, Order, Point

TEXT = "Näme,Größe\nJörg,1\nZoë,2\n"


def judged(data: bytes, piece: int = 7) -> Encoding:
    encoding = Encoding()
    for begin in range(0, len(data), piece):
        encoding.feed(data[begin : begin + piece])
    return encoding


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (TEXT.encode(), "utf-8"),
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-16"), "utf-16-le"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("cp1252"), "cp1252"),
        ("Preis €,“x”\n".encode("cp1252"), "cp1252"),
        (b"a,b\n\x81,\x8d\n", "latin-1"),
        (b"plain,ascii\n", "utf-8"),
        # A character cut off at the end of the file is no UTF-8.
        ("Zoë".encode()[:-1], "cp1252"),
        # What is wrong may come after everything that is looked at for the rest.
        (b"a,b\n" * 100_000 + b"\xe9\n", "cp1252"),
    ],
)
def test_encoding(data: bytes, name: str) -> None:
    encoding = judged(data, max(7, len(data) // 50))
    assert encoding.name() == name
    if not data.startswith((b"a,b", b"plain")):
        assert "�" not in detection.beginning(encoding.head, name)
        assert not detection.beginning(encoding.head, name).startswith("\ufeff")


@pytest.mark.parametrize(
    ("text", "between"),
    [
        ("a,b,c\n1,2,3\n", ","),
        ("a;b;c\n1,5;2,5;3\n", ";"),
        ("a\tb\n1,2\t3;4\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ('name;"note, long"\nx;"a,b\n,c"\ny;z\n', ";"),
        ("only\nx\ny\n", ","),
        ("", ","),
    ],
)
def test_delimiter(text: str, between: str) -> None:
    assert detection.delimiter(text) == between


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([["Name", "E-mail"], ["a", "a@example.com"]], True),
        ([["Ann", "a@example.com"], ["Bob", "b@example.com"]], False),
        ([["Name", "2024"], ["a", "1"]], False),
        ([["Name", "Name"], ["a", "b"]], False),
        ([["Name", ""], ["a", "b"]], True),
        ([], False),
    ],
)
def test_header(rows: list[list[str]], header: bool) -> None:
    assert detection.has_header(rows) is header


@pytest.mark.parametrize(
    ("cells", "order"),
    [
        (["01/02/2024", "13/02/2024"], Order.DAY_FIRST),
        (["01/02/2024", "01/13/2024"], Order.MONTH_FIRST),
        (["01/02/2024", "03/04/2024"], Order.UNKNOWN),
        (["13/02/2024", "01/13/2024"], Order.UNKNOWN),
        (["1.2.2024"], Order.DAY_FIRST),
        (["2024-02-01"], Order.UNKNOWN),
        ([], Order.UNKNOWN),
    ],
)
def test_order_of_dates(cells: list[str], order: Order) -> None:
    assert detection.order([cells]) is order


@pytest.mark.parametrize(
    ("cells", "point"),
    [
        (["1.234,50"], Point.COMMA),
        (["12,5"], Point.COMMA),
        (["1,234.50"], Point.POINT),
        (["12.5"], Point.POINT),
        (["1,234"], Point.UNKNOWN),
        (["1.234"], Point.UNKNOWN),
        (["1,234,567"], Point.POINT),
        (["12.5", "12,5"], Point.UNKNOWN),
        (["abc, def"], Point.UNKNOWN),
    ],
)
def test_decimals(cells: list[str], point: Point) -> None:
    assert detection.point([cells]) is point


def test_names_of_columns() -> None:
    assert detection.columns(["A", " A ", "", "A (2)"], header=True) == ["A", "A (2)", "Column 3", "A (2) (2)"]
    assert detection.columns(["x", "y"], header=False) == ["Column 1", "Column 2"]
