"""What the columns of a file mean: for each field a rule that makes its text from a row.

A rule is a JSON object with one source and what is done to it:

    {"column": "Customer Name"}                     the cell of that column
    {"template": "{Customer ID}@example.com"}       text around cells; {{ and }} are braces
    {"value": "closed_won"}                         the same for every row
    "take": "first_word" | "other_words" | "last_word" | "words_before"
    "map": {"Won": "closed_won"}                    words for others; what is not named stays
    "default": "{Customer Name}"                    a template for where the result is blank
    "sum": true                                     added up over the rows with the same key
    "round": 2                                      decimals of a sum or number, half to even

A mapping is an object of field and rule. `{"E-mail": "email"}`, column and field, is the short form for cells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import READ_ONLY, Field, Reference, Resource

MAPPING = "mapping"
SOURCES = ("column", "template", "value")
CHANGES = ("take", "map", "default", "sum", "round")

TAKES: Mapping[str, Callable[[str], str]] = {
    "first_word": lambda text: text.split()[0] if text.split() else "",
    "other_words": lambda text: " ".join(text.split()[1:]),
    "last_word": lambda text: text.split()[-1] if text.split() else "",
    "words_before": lambda text: " ".join(text.split()[:-1]),
}

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

#: Decimals a rule may round to.
MOST_PLACES = 10

#: What is before a mapping's own columns: cells of the row by position.
Template = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How the text of one field is made of a row's cells."""

    #: Texts and positions of cells.
    parts: Template = ()
    #: The JSON value of a constant, for which nothing else is looked at.
    value: Any = None
    constant: bool = False
    take: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    default: Template = ()
    sum: bool = False
    places: int | None = None

    def text(self, cells: Sequence[str]) -> str:
        """The text for a row, trimmed."""
        made = filled(self.parts, cells).strip()
        if self.take:
            made = TAKES[self.take](made)
        made = self.words.get(made, made)
        return made or filled(self.default, cells).strip()


def filled(template: Template, cells: Sequence[str]) -> str:
    """A template with the cells of a row; cells that a short row does not have are blank. Blank if all of them are."""
    if len(template) == 1 and isinstance(template[0], int):
        return cells[template[0]] if template[0] < len(cells) else ""
    made, blank = [], True
    for part in template:
        if isinstance(part, int):
            cell = cells[part].strip() if part < len(cells) else ""
            blank = blank and not cell
            made.append(cell)
        else:
            made.append(part)
    return "" if blank and any(isinstance(part, int) for part in template) else "".join(made)


def read(given: object, columns: Sequence[str], resource: Resource) -> dict[str, Rule]:
    """The rules of a mapping, by field. Raises Invalid, whose messages begin with what each is about."""
    if not isinstance(given, dict):
        raise Invalid({MAPPING: ["Must be an object of fields and rules."]})
    rules: dict[str, Rule] = {}
    wrong = []
    for name, rule in given.items():
        target, source = (rule, {"column": name}) if isinstance(rule, str) else (name, rule)
        try:
            if target in rules:
                raise Mistake("is mapped twice.")
            _settable(target, resource)
            rules[target] = _rule(source, columns)
        except Mistake as mistake:
            wrong.append(f"{target}: {mistake}")
    if not given:
        wrong.append("Must name at least one field.")
    if wrong:
        raise Invalid({MAPPING: wrong})
    return rules


def _settable(name: str, resource: Resource) -> Field | Reference | None:
    """Raise Mistake unless a file may say what the field is. The id only says which record is meant."""
    if name == "id" or name in resource.writable:
        return resource.stored.get(name)
    if name in resource.used(READ_ONLY):
        raise Mistake("is read-only.")
    raise Mistake(f"is no field. Fields are: {', '.join(('id', *resource.writable))}.")


def _rule(given: object, columns: Sequence[str]) -> Rule:
    if not isinstance(given, dict):
        raise Mistake('a rule is an object, such as {"column": "E-mail"}.')
    if unknown := given.keys() - {*SOURCES, *CHANGES}:
        raise Mistake(f"unknown: {', '.join(sorted(unknown))}. Allowed: {', '.join((*SOURCES, *CHANGES))}.")
    if len(given.keys() & set(SOURCES)) != 1:
        raise Mistake(f"needs one of {', '.join(SOURCES)}.")
    if "value" in given:
        if len(given) > 1:
            raise Mistake("a value stands alone.")
        return Rule(value=given["value"], constant=True)
    source = given.get("column", given.get("template"))
    if not isinstance(source, str):
        raise Mistake("column and template are texts.")
    parts = (_position(source, columns),) if "column" in given else template(source, columns)
    return Rule(
        parts=parts,
        take=_one_of(given.get("take", ""), ("", *TAKES), "take"),
        words=_words(given.get("map", {})),
        default=template(_text(given.get("default", ""), "default"), columns),
        sum=_flag(given.get("sum", False)),
        places=_places(given.get("round")),
    )


def template(text: str, columns: Sequence[str]) -> Template:
    """The parts of a template. Raises Mistake for a column that is not there, or a brace alone."""
    parts: list[str | int] = []
    end = 0
    for match in _PART.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[1] is not None:
            parts.append(_position(match[1], columns))
        elif len(match[0]) == 2:
            parts.append(match[0][0])
        else:
            raise Mistake(f"a {match[0]} stands alone; {match[0] * 2} is the brace itself.")
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def _position(name: str, columns: Sequence[str]) -> int:
    if name not in columns:
        raise Mistake(f"there is no column {name[:100]!r}. Columns are: {', '.join(columns[:50])}.")
    return columns.index(name)


def _words(given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(word, str) for word in given.values()):
        raise Mistake("map is an object of texts.")
    return {key.strip(): word for key, word in given.items()}


def _text(given: object, name: str) -> str:
    if not isinstance(given, str):
        raise Mistake(f"{name} is a text.")
    return given


def _one_of(given: object, allowed: Sequence[str], name: str) -> str:
    if not isinstance(given, str) or given not in allowed:
        raise Mistake(f"{name} is one of {', '.join(one for one in allowed if one)}.")
    return given


def _flag(given: object) -> bool:
    if not isinstance(given, bool):
        raise Mistake("sum is true or false.")
    return given


def _places(given: object) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST_PLACES:
        raise Mistake(f"round is a whole number from 0 to {MOST_PLACES}.")
    return given


def proposed(columns: Sequence[str], resource: Resource, *, ids: bool = False) -> dict[str, Any]:
    """A mapping by names: a column whose name says a field, in any case and with any separators."""
    found: dict[str, Any] = {}
    fields = {_bare(name): name for name in resource.writable}
    fields |= {_bare(word): name for word, name in SYNONYMS.items() if name in resource.writable}
    if ids:
        fields["id"] = "id"
    for column in columns:
        name = fields.get(_bare(column))
        if name is not None and name not in found:
            found[name] = {"column": column}
    whole = next((column for column in columns if _bare(column) in _WHOLE_NAMES), None)
    if whole and {"first_name", "last_name"} <= resource.writable.keys() and not found.keys() & _NAME_PARTS:
        found["first_name"] = {"column": whole, "take": "first_word"}
        found["last_name"] = {"column": whole, "take": "other_words", "default": "{" + whole + "}"}
    return found


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


_NAME_PARTS = {"first_name", "last_name"}
_WHOLE_NAMES = ("fullname", "name", "customername", "contactname", "leadname")

#: Other names of fields that files use.
SYNONYMS = {
    "given name": "first_name",
    "forename": "first_name",
    "surname": "last_name",
    "family name": "last_name",
    "mail": "email",
    "e-mail address": "email",
    "telephone": "phone",
    "phone number": "phone",
    "mobile phone": "mobile",
    "cell phone": "mobile",
    "company": "company_name",
    "organisation": "company_name",
    "organization": "company_name",
    "account": "company_name",
    "position": "job_title",
    "source": "lead_source",
    "zip": "postal_code",
    "zip code": "postal_code",
    "postcode": "postal_code",
    "street": "address_line_1",
    "address": "address_line_1",
    "value": "amount",
    "deal name": "name",
    "opportunity name": "name",
    "close date": "expected_close_date",
    "owner": "assigned_to",
    "contact email": "contact",
    "due": "due_date",
    "task": "title",
    "subject": "title",
}
