from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest

from hub.centrifuge.api_methods import METHODS
from hub.centrifuge.api_request import ApiError, Given
from hub.centrifuge.api_shapes import REQUESTS, RESULTS
from models.resources.kinds import Schema


class Asked(dict[str, Any]):
    """The fields of a command, which note what is asked for."""

    def __init__(self, fields: dict[str, Any], noted: set[str], path: str) -> None:
        super().__init__(fields)
        self._noted, self._path = noted, path

    def get(self, name: str, default: Any = None) -> Any:
        self._noted.add(self._path + name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self._noted.add(f"{self._path}{name}")
        return super().__contains__(name)


def sample(of: Schema, name: str, noted: set[str], path: str) -> Any:
    """A value that fits a shape."""
    types = of.get("type", "integer")
    match types if isinstance(types, str) else types[0]:
        case "object":
            inner = of.get("properties", {})
            return Asked({key: sample(one, key, noted, f"{path}{key}.") for key, one in inner.items()}, noted, path)
        case "string":
            return b64encode(b"1").decode() if name.startswith("b64") else "a"
        case "boolean":
            return True
        case "array":
            return ["a"]
        case _:
            return 3000


def names(of: Schema, path: str = "") -> set[str]:
    """The fields of a shape and of the objects in it."""
    inner = of.get("properties", {})
    return {path + key for key in inner}.union(*(names(one, f"{path}{key}.") for key, one in inner.items()))


@pytest.mark.parametrize("method", METHODS)
def test_a_command_asks_for_what_its_shape_has_and_nothing_else(method: str) -> None:
    noted: set[str] = set()
    for plain in (False, True):
        fields = sample(REQUESTS[method], "", noted, "")
        for name in [name for name in fields if plain and name.startswith("b64")]:
            del fields[name]
        with suppress(ApiError):  # of values that make no sense together, once all are read
            METHODS[method](Given(fields))
    assert noted == names(REQUESTS[method])


def test_every_method_has_shapes() -> None:
    assert METHODS.keys() == REQUESTS.keys() == RESULTS.keys()
