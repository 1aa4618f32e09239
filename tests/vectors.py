"""The vectors of the custom field validator: every way to write a value is held against the same ones.

Each is a type, the rules of the field, a JSON input and what becomes of it: the stored value (null for none) or the
message it is refused with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

FILE = Path(__file__).parent / "custom_vectors.json"


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One of them."""

    type: str
    rules: Mapping[str, Any] = field(default_factory=dict)
    input: Any
    stored: Any = None
    error: str | None = None

    def definition(self, name: str, **columns: Any) -> dict[str, Any]:
        """What to POST to /api/v1/custom-fields/ for a field of leads with its rules."""
        return {
            "name": name,
            "label": name,
            "field_type": self.type,
            "content_type": "lead",
            **self.rules,
            **columns,
        }

    def of(self, name: str) -> dict[str, Any]:
        """The same as a whole row of `crm_custom_fields`."""
        nothing = dict.fromkeys(("min_length", "max_length", "min_value", "max_value"))
        empty = dict.fromkeys(("regex_pattern", "regex_error_message", "default_value"), "")
        lists = {key: list[Any]() for key in ("options", "visible_to_roles", "editable_by_roles")}
        flags = {"is_active": True, "is_visible": True, "is_public": True, "is_required": False}
        use = {"is_searchable": False, "is_filterable": False, "id": 1}
        return {**nothing, **empty, **lists, **flags, **use, **self.definition(name), "content_type": 3}

    def __str__(self) -> str:
        return f"{self.type} {orjson.dumps(self.input).decode()[:40]} {orjson.dumps(dict(self.rules)).decode()[:40]}"


VECTORS = [Vector(**one) for one in orjson.loads(FILE.read_bytes())]

#: Vectors of fields that are alike.
ALIKE: dict[bytes, list[Vector]] = {}
for vector in VECTORS:
    ALIKE.setdefault(orjson.dumps([vector.type, dict(vector.rules)]), []).append(vector)
