"""The validator of custom fields against the vectors, and its two forms of text."""

from __future__ import annotations

from typing import Any

import pytest

from models.access import Role
from models.resources.custom.defining import consistent
from models.resources.custom.definition import Definition
from models.resources.mistakes import Invalid, Mistake
from tests.vectors import VECTORS, Vector


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_vectors(vector: Vector) -> None:
    field = consistent(vector.of("x"))
    if vector.error is None:
        assert field.read(vector.input) == vector.stored
        assert type(field.read(vector.input)) is type(vector.stored)
        assert field.read(vector.stored) == vector.stored
    else:
        with pytest.raises(Mistake) as refused:
            field.read(vector.input)
        assert str(refused.value) == vector.error


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.error is None], ids=str)
def test_text_out_and_in_is_the_same(vector: Vector) -> None:
    field = consistent(vector.of("x"))
    assert field.read_text(field.write_text(vector.stored)) == vector.stored


def test_a_pattern_that_backtracks_does_no_harm() -> None:
    """Python's own engine would never come back from these."""
    for pattern in ("(a+)+$", "(a|aa)+$", "(.*a){20}$", "([a-zA-Z]+)*$"):
        field = _defined(type="textarea", regex_pattern=pattern)
        with pytest.raises(Mistake):
            field.read("a" * 99_000 + "!")


def _defined(type: str = "text", **rules: Any) -> Definition:
    return consistent(Vector(type=type, rules=rules, input=None).of("x"))


@pytest.mark.parametrize(
    ("type", "rules", "wrong"),
    [
        ("text", {"regex_pattern": "("}, "regex_pattern"),
        ("text", {"regex_pattern": r"(a)\1"}, "regex_pattern"),
        ("text", {"regex_pattern": "(?=a)"}, "regex_pattern"),
        ("text", {"regex_pattern": "(((a{100}){100}){100})"}, "regex_pattern"),
        ("text", {"regex_pattern": r"((\pL{200}){5}){2}"}, "regex_pattern"),
        ("number", {"regex_pattern": "5"}, "regex_pattern"),
        ("text", {"min_value": "1.00"}, "min_value"),
        ("text", {"min_length": 3, "max_length": 2}, "max_length"),
        ("text", {"max_length": 1001}, "max_length"),
        ("text", {"min_length": -1}, "min_length"),
        ("number", {"min_value": "3.00", "max_value": "2.00"}, "max_value"),
        ("boolean", {"options": [{"value": "a", "label": "a"}]}, "options"),
        ("select", {}, "options"),
        ("text", {"max_length": 2, "default_value": "abc"}, "default_value"),
        ("select", {"options": [{"value": "a", "label": "a"}], "default_value": "b"}, "default_value"),
        ("number", {"default_value": "x"}, "default_value"),
        ("file", {"default_value": "6ad1ef2e-6d59-4b7e-a9a7-1d9df8a2b9d7"}, "default_value"),
    ],
)
def test_what_does_not_go_together_cannot_be_defined(type: str, rules: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Invalid) as refused:
        _defined(type, **rules)
    assert list(refused.value.messages) == [wrong]


def test_defaults_are_read_as_text() -> None:
    options = [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}]
    assert _defined("number", default_value="0").default == 0
    assert _defined("boolean", default_value="false").default is False
    assert _defined("decimal", default_value="1.5").default == "1.50"
    assert _defined("multiselect", default_value="b,a", options=options).default == ["b", "a"]
    assert _defined("date", default_value="").default is None


def test_who_sees_and_who_sets() -> None:
    def roles(**rules: Any) -> tuple[set[Role], set[Role]]:
        field = _defined(**rules)
        return {r for r in Role if field.seen_by(r)}, {r for r in Role if field.set_by(r)}

    everyone, admin, reps = set(Role), {Role.ADMIN}, {Role.ADMIN, Role.SALES_REP}
    assert roles() == (everyone, everyone)
    assert roles(visible_to_roles=["sales_rep"]) == (reps, reps)
    assert roles(editable_by_roles=["sales_rep"]) == (everyone, reps)
    assert roles(visible_to_roles=["manager"], editable_by_roles=["sales_rep"]) == ({Role.ADMIN, Role.MANAGER}, admin)
    assert roles(is_public=False) == (admin, admin)
    assert roles(is_public=False, visible_to_roles=["sales_rep"]) == (reps, reps)
    assert roles(is_visible=False, visible_to_roles=["sales_rep"]) == (admin, admin)


def test_what_a_person_reads() -> None:
    options = [{"value": "a", "label": "Alpha"}, {"value": "b", "label": "Beta"}]
    assert _defined("select", options=options).display("a") == "Alpha"
    assert _defined("checkbox", options=options).display(["b", "a"]) == "Beta, Alpha"
    assert _defined("boolean").display(False) == "No"
    assert _defined("number").display(0) == "0"
