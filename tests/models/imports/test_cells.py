"""Text in cells as values: dates, numbers, choices, tags; formulas and back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.imports import cells
from models.imports.detection import Form, Order, Point
from models.leads import LeadSource
from models.resources import kinds
from models.resources.mistakes import Mistake

DMY, MDY = Form(dates=Order.DAY_FIRST), Form(dates=Order.MONTH_FIRST)
COMMA, POINT, PLAIN = Form(decimal=Point.COMMA), Form(decimal=Point.POINT), Form()
MONEY = kinds.Decimal(12, 2)


@pytest.mark.parametrize(
    ("kind", "text", "form", "value"),
    [
        (kinds.Day(), "2024-02-01", PLAIN, date(2024, 2, 1)),
        (kinds.Day(), "2024/2/1", PLAIN, date(2024, 2, 1)),
        (kinds.Day(), "01/02/2024", DMY, date(2024, 2, 1)),
        (kinds.Day(), "01/02/2024", MDY, date(2024, 1, 2)),
        (kinds.Day(), "1.2.24", PLAIN, date(2024, 2, 1)),
        (kinds.Day(), "1/2/69", DMY, date(1969, 2, 1)),
        (kinds.Day(), "2024-02-01 00:00:00", PLAIN, date(2024, 2, 1)),
        (kinds.Moment(), "2024-02-01", PLAIN, datetime(2024, 2, 1, tzinfo=UTC)),
        (kinds.Moment(), "01/02/2024 2:30 PM", DMY, datetime(2024, 2, 1, 14, 30, tzinfo=UTC)),
        (kinds.Moment(), "01/02/2024 12:05 am", DMY, datetime(2024, 2, 1, 0, 5, tzinfo=UTC)),
        (kinds.Moment(), "2024-02-01T10:00:00+02:00", PLAIN, datetime(2024, 2, 1, 8, tzinfo=UTC)),
        (MONEY, "1.234,5", COMMA, Decimal("1234.50")),
        (MONEY, "1,234.5", POINT, Decimal("1234.50")),
        (MONEY, "$1,234.50", POINT, Decimal("1234.50")),
        (MONEY, "12,5 €", COMMA, Decimal("12.50")),
        (MONEY, "-5", PLAIN, Decimal(-5)),
        (kinds.Integer(), "3.0", PLAIN, 3),
        (kinds.OneOf((10, 25)), "25", PLAIN, 25),
        (kinds.Choice(LeadSource), "Cold Call", PLAIN, LeadSource.COLD_CALL),
        (kinds.Choice(LeadSource), "e-mail campaign".replace("e-mail", "Email"), PLAIN, LeadSource.EMAIL_CAMPAIGN),
        (kinds.Tags(), "a, b,,a", PLAIN, ["a", "b"]),
        (kinds.Tags(), '["a,b","c"]', PLAIN, ["a,b", "c"]),
        (kinds.Object(), '{"a":1}', PLAIN, {"a": 1}),
    ],
)
def test_read(kind: Any, text: str, form: Form, value: object) -> None:
    assert cells.read(kind, text, form) == value


@pytest.mark.parametrize(
    ("kind", "text", "form", "said"),
    [
        (kinds.Day(), "01/02/2024", PLAIN, "two ways"),
        (kinds.Day(), "31/02/2024", DMY, "Must be a date"),
        (kinds.Day(), "2024-02-01 10:00", PLAIN, "Must be a date"),
        (kinds.Moment(), "01/02/2024 25:00", DMY, "Must be a date"),
        (MONEY, "1,234", PLAIN, "valid number"),
        (MONEY, "1,23", POINT, "valid number"),
        (MONEY, "1.005", PLAIN, "At most 2 decimal"),
        (MONEY, "NaN", PLAIN, "valid number"),
        (kinds.Integer(), "3.5", PLAIN, "whole number"),
        (kinds.Choice(LeadSource), "pigeon", PLAIN, "Must be one of"),
        (kinds.Object(), "{", PLAIN, "valid JSON"),
        (kinds.Object(), "[1]", PLAIN, "JSON object"),
    ],
)
def test_refused(kind: Any, text: str, form: Form, said: str) -> None:
    with pytest.raises(Mistake, match=said):
        cells.read(kind, text, form)


@given(st.text(st.sampled_from("'=+-@\t\ra1 "), max_size=6))
def test_what_is_escaped_is_no_formula_and_comes_back(text: str) -> None:
    written = cells.escaped(text)
    assert written[:1] not in tuple("=+-@\t\r")
    assert cells.plain(written) == text
