"""The language of mappings: what rules make of a row, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from models.imports import mapping
from models.resources.contacts import CONTACTS
from models.resources.leads import LEADS
from models.resources.mistakes import Invalid
from models.resources.opportunities import OPPORTUNITIES

COLUMNS = ["Id", "Name", "State", "Empty"]
ROW = ["CG-1", " Claire Ann  Gute ", "Won", ""]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"column": "Name"}, "Claire Ann  Gute"),
        ({"template": "{Id}@x.example"}, "CG-1@x.example"),
        ({"template": "{{{Id}}}"}, "{CG-1}"),
        ({"template": "{Empty}@x.example"}, ""),
        ({"template": "same"}, "same"),
        ({"column": "Name", "take": "first_word"}, "Claire"),
        ({"column": "Name", "take": "other_words"}, "Ann Gute"),
        ({"column": "Name", "take": "last_word"}, "Gute"),
        ({"column": "Name", "take": "words_before"}, "Claire Ann"),
        ({"column": "Id", "take": "other_words", "default": "{Id}"}, "CG-1"),
        ({"column": "Empty", "take": "first_word"}, ""),
        ({"column": "Empty", "default": "none"}, "none"),
        ({"column": "State", "map": {"Won": "qualified"}}, "qualified"),
        ({"column": "State", "map": {"Lost": "lost"}}, "Won"),
        ({"column": "Empty", "map": {"": "unknown"}}, "unknown"),
    ],
)
def test_rules(rule: dict[str, Any], text: str) -> None:
    (read,) = mapping.read({"notes": rule}, COLUMNS, LEADS).values()
    assert read.text(ROW) == text


def test_a_short_row_is_blank_where_it_ends() -> None:
    (read,) = mapping.read({"notes": {"template": "{Id} {State}"}}, COLUMNS, LEADS).values()
    assert read.text(["CG-1"]) == "CG-1"
    assert read.text([]) == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "Must be an object"),
        ({}, "at least one field"),
        ({"owner": {"column": "Id"}}, "owner: is read-only."),
        ({"created_at": {"column": "Id"}}, "created_at: is read-only."),
        ({"owner_id": {"column": "Id"}}, "owner_id: is no field."),
        ({"Id": "password"}, "password: is no field."),
        ({"notes": {"column": "Nowhere"}}, "no column 'Nowhere'"),
        ({"notes": {"template": "{Nowhere}"}}, "no column 'Nowhere'"),
        ({"notes": {"template": "{Id"}}, "stands alone"),
        ({"notes": {"column": "Id", "value": 1}}, "needs one of"),
        ({"notes": {}}, "needs one of"),
        ({"notes": {"value": 1, "take": "first_word"}}, "stands alone"),
        ({"notes": {"column": "Id", "eval": "1"}}, "unknown: eval"),
        ({"notes": {"column": "Id", "take": "half"}}, "take is one of"),
        ({"notes": {"column": "Id", "map": ["x"]}}, "map is an object"),
        ({"notes": {"column": "Id", "round": 99}}, "round is"),
        ({"notes": {"column": "Id", "sum": 1}}, "sum is"),
        ({"notes": 7}, "a rule is an object"),
        ({"Id": "notes", "Name": "notes"}, "notes: is mapped twice."),
    ],
)
def test_refused(given: Any, said: str) -> None:
    with pytest.raises(Invalid) as raised:
        mapping.read(given, COLUMNS, LEADS)
    assert said in raised.value.messages["mapping"][0]


def test_proposals() -> None:
    assert mapping.proposed(["E-Mail", "Given Name", "SURNAME", "id", "owner", "Zip code"], CONTACTS) == {
        "email": {"column": "E-Mail"},
        "first_name": {"column": "Given Name"},
        "last_name": {"column": "SURNAME"},
        "assigned_to": {"column": "owner"},
        "postal_code": {"column": "Zip code"},
    }
    assert mapping.proposed(["Name", "Email"], LEADS)["last_name"] == {
        "column": "Name", "take": "other_words", "default": "{Name}",
    }  # fmt: skip
    assert mapping.proposed(["Name", "ID"], OPPORTUNITIES, ids=True) == {
        "name": {"column": "Name"}, "id": {"column": "ID"},
    }  # fmt: skip
