"""Kinds of values: what they take, and that they say no to everything else."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal as Number
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contacts import Salutation
from models.leads import LeadStatus
from models.resources.kinds import (
    Choice,
    Currency,
    Day,
    Decimal,
    Email,
    Flag,
    Integer,
    Kind,
    Moment,
    Object,
    OneOf,
    Tags,
    Text,
    Url,
)
from models.resources.mistakes import Mistake

MONEY = Decimal(12, 2)


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        (Integer(0, 100), 0, 0),
        (Integer(0, 100), 100, 100),
        (OneOf((10, 25)), 25, 25),
        (MONEY, "1200.00", Number("1200.00")),
        (MONEY, " 7 ", Number("7.00")),
        (MONEY, 1200.1, Number("1200.10")),
        (MONEY, 0.1, Number("0.10")),
        (MONEY, 5, Number("5.00")),
        (MONEY, "-0", Number("0.00")),
        (MONEY, "0009999999999.9900", Number("9999999999.99")),
        (MONEY, 1e2, Number("100.00")),
        (Text(5), "  ab  ", "ab"),
        (Text(2), "éé", "éé"),
        (Text(), "x" * 10_000, "x" * 10_000),
        (Email(), "a.b+c@sub.example.com", "a.b+c@sub.example.com"),
        (Email(), "jürgen@münchen.example", "jürgen@münchen.example"),
        (Email(), "", ""),
        (Url(), "https://example.com/a?b=c", "https://example.com/a?b=c"),
        (Url(), "", ""),
        (Currency(), "eur", "EUR"),
        (Choice(LeadStatus), "new", LeadStatus.NEW),
        (Choice(Salutation), "", Salutation.NONE),
        (Flag(), True, True),
        (Moment(), "2026-03-31T14:30:00Z", datetime(2026, 3, 31, 14, 30, tzinfo=UTC)),
        (Moment(), "2026-03-31T14:30:00.123456+02:00", datetime(2026, 3, 31, 12, 30, 0, 123456, tzinfo=UTC)),
        (Moment(), "2026-03-31 14:30", datetime(2026, 3, 31, 14, 30, tzinfo=UTC)),
        (Day(), "2024-02-29", date(2024, 2, 29)),
        (Tags(), [" a ", "b", "a"], ["a", "b"]),
        (Object(), {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    ],
)
def test_takes(kind: Kind, value: Any, stored: Any) -> None:
    read = kind.read(value)
    assert (read, type(read)) == (stored, type(stored))


REFUSED: list[tuple[Kind, Sequence[Any]]] = [
    (Integer(0, 100), (-1, 101, True, 1.0, "1", None, [], 2**70)),
    (OneOf((10, 25)), (11, "10", None)),
    (MONEY, ("", "x", "NaN", "Infinity", "1e5", "1_0", "\u0661", "1,5", "0.001", 0.001, "1" * 11, "1" * 5000, 1e300)),
    (MONEY, (True, None, [], {}, 123456789012345678901234567890)),
    (Text(3), ("abcd", "a\x00b", 5, None, ["a"])),
    (Email(), ("a", "a@", "@b.example", "a@b", "a b@c.example", "a@b..example", "a@b.example\nX: y")),
    (Email(), (f"{'a' * 64}@{'b' * 250}.example",)),
    (Url(), ("example.com", "javascript:alert(1)", "http://", "http://[::1", "http://a b")),
    (Currency(), ("", "US", "USDX", "12A", "ÄÖÜ")),
    (Choice(LeadStatus), ("NEW", "", None, 1, ["new"], {})),
    (Flag(), (1, "true", None)),
    (Moment(), ("2026-03-31", "yesterday", "", None, 1711900000, "2026-02-30T00:00Z", "2026-03-31T25:00Z")),
    (Moment(), ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")),
    (Day(), ("2026-02-29", "20260301", "2026-3-1", "2026-03-01T00:00Z", 5, None)),
    (Tags(), ("a", [1], [None], {}, ["x" * 101], [f"{n}" for n in range(101)], ["\x00"])),
    (Object(), ([], "{}", None, {"a": ["\x00"]}, {"\x00": 1}, {"a": {"b": {"c": "\x00"}}})),
]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in REFUSED for value in values])
def test_refuses(kind: Kind, value: Any) -> None:
    with pytest.raises(Mistake, match=r".+\.$"):
        kind.read(value)


@given(st.decimals(min_value="-9999999999.99", max_value="9999999999.99", places=2))
def test_money_is_kept_to_the_cent(amount: Number) -> None:
    assert MONEY.read(str(amount)) == amount
    assert str(MONEY.read(format(amount, "f"))) == str(amount + 0)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_moments_are_kept_exactly(moment: datetime, offset: int) -> None:
    there = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert Moment().read(there.isoformat()) == there


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()), st.just({})))
def test_no_kind_fails_otherwise(value: Any) -> None:
    for kind in (Integer(), MONEY, Text(9), Email(), Url(), Choice(LeadStatus), Moment(), Day(), Tags(), Object()):
        try:
            kind.read(value)
            kind.read_text(str(value))
        except Mistake:
            pass
