"""Texts in a body that are taken as they are: names, passwords, codes, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.openapi.shapes import Maybe, fields
from hub.requests import only
from models.password_rules import LONGEST
from models.resources.kinds import Schema, Text
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import MISSING, NOT_BLANK

_TEXT = Text(LONGEST)


class Texts:
    """The texts a body has; those named in `also` may be missing."""

    def __init__(self, *names: str, also: tuple[str, ...] = ()) -> None:
        self.names = names
        self.also = also

    def read(self, body: Mapping[str, Any]) -> dict[str, str]:
        """The texts, untrimmed; what is missing is empty. Raises Invalid, for others too."""
        only(body, self.names + self.also)
        wrong, given = {}, {}
        for name in self.names + self.also:
            try:
                _TEXT.read(body.get(name, ""))
            except Mistake as mistake:
                wrong[name] = [str(mistake)]
                continue
            if not body.get(name) and name in self.names:
                wrong[name] = [NOT_BLANK if name in body else MISSING]
            given[name] = body.get(name, "")
        if wrong:
            raise Invalid(wrong)
        return given

    @property
    def shape(self) -> Schema:
        """The same in JSON Schema."""
        text = _TEXT.schema(given=True)
        required = {name: {**text, "minLength": 1} for name in self.names}
        return fields({**required, **{name: Maybe(text) for name in self.also}})
