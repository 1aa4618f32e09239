"""Texts in a body that are taken as they are: names, passwords, codes, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.requests import only
from models.password_rules import LONGEST
from models.resources.kinds import Text
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import MISSING, NOT_BLANK


def texts(body: Mapping[str, Any], *names: str, also: tuple[str, ...] = ()) -> dict[str, str]:
    """The texts with these names, untrimmed; those named in `also` may be missing. Raises Invalid, for others too."""
    only(body, names + also)
    wrong, given = {}, {}
    for name in names + also:
        try:
            Text(LONGEST).read(body.get(name, ""))
        except Mistake as mistake:
            wrong[name] = [str(mistake)]
            continue
        if not body.get(name) and name in names:
            wrong[name] = [NOT_BLANK if name in body else MISSING]
        given[name] = body.get(name, "")
    if wrong:
        raise Invalid(wrong)
    return given
