"""What a statement writes of a record's custom fields, and how it makes sure that it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The column with the values, and what they are called on the wire.
COLUMN = "custom_fields"

#: The condition, on the parameter with that number, that the definitions still have that version. It holds them until
#: the end of the transaction.
LATEST = "hub_custom_fields_are(${}::bigint)"


class Outdated(Exception):
    """The definitions that values were read by are not the latest any more."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """New values of a record's custom fields by name, null for none, and the version of the definitions they follow."""

    version: int
    values: Mapping[str, Any]
    #: Uploads among them by the name of their field; `attach` gives them to the record.
    files: Mapping[str, str]
