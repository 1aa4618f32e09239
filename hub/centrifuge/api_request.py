"""Reading what a command of the server API asks: its fields, each of one type.

A field that is null counts as not sent, and one that nobody knows is passed over, as Centrifugo does: what is written
for a newer version than this one goes on working. One of the wrong type is refused before anything is done.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import orjson

from hub.centrifuge.codec import Malformed
from hub.centrifuge.codes import BAD_ARGUMENTS, Error

#: Numbers of 64 bits.
LARGEST = 2**64 - 1


class ApiError(Exception):
    """A command failed; `error` is what its sender is told."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error

    @property
    def answer(self) -> dict[str, Any]:
        """The answer to the command."""
        return {"error": {"code": self.error.code, "message": self.error.message}}


def bad(why: str) -> ApiError:
    """A command that can be read and makes no sense."""
    return ApiError(BAD_ARGUMENTS._replace(message=f"{BAD_ARGUMENTS.message}: {why}"))


class Given:
    """The fields of one command, or of an object in it. Each reader raises Malformed for another type."""

    def __init__(self, value: object, path: str = "") -> None:
        """`path` is where the object stands, for messages."""
        if not isinstance(value, Mapping):
            raise Malformed(f"{path or 'The request'} must be an object.")
        self._fields = value
        self._path = path

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str) -> str:
        """A text; empty if it was not sent."""
        return str(self._typed(name, str, "a text", ""))

    def flag(self, name: str) -> bool:
        """True or false; false if it was not sent."""
        return bool(self._typed(name, bool, "true or false", False))

    def whole(self, name: str, *, least: int = 0) -> int:
        """A whole number of 64 bits; 0 if it was not sent."""
        value = self._fields.get(name)
        if value is None:
            return 0
        if type(value) is not int or not least <= value <= LARGEST:
            raise Malformed(f"{self._name(name)} must be a whole number from {least}.")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        return [str(one) for one in self._several(name, list(self._typed(name, list, "a list of texts", [])))]

    def tags(self, name: str) -> dict[str, str]:
        """Texts by name."""
        found = dict(self._typed(name, dict, "an object of texts", {}))
        self._several(name, list(found.values()))
        return found

    def object(self, name: str) -> Given | None:
        """An object in it; None if it was not sent."""
        value = self._fields.get(name)
        return None if value is None else Given(value, self._name(name))

    def objects(self, name: str) -> list[Given]:
        """A list of objects."""
        values = self._typed(name, list, "a list of objects", [])
        return [Given(value, f"{self._name(name)}[{at}]") for at, value in enumerate(values)]

    def any(self, name: str) -> Any:
        """Any JSON value; None if it was not sent."""
        return self._fields.get(name)

    def _typed(self, name: str, kind: type, wanted: str, otherwise: Any) -> Any:
        value = self._fields.get(name)
        if value is None:
            return otherwise
        if not isinstance(value, kind):
            raise Malformed(f"{self._name(name)} must be {wanted}.")
        return value

    def _several(self, name: str, values: list[Any]) -> list[Any]:
        if not all(isinstance(one, str) for one in values):
            raise Malformed(f"{self._name(name)} must hold texts.")
        return values

    def _name(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def payload(given: Given, name: str) -> bytes | None:
    """A JSON value as bytes, from the field `name` or in base64 from `b64<name>`; None if neither was sent.

    Channels carry JSON, so what stands in base64 must be JSON as well. Raises ApiError.
    """
    if encoded := given.text(f"b64{name}"):
        try:
            return orjson.dumps(orjson.loads(b64decode(encoded, validate=True)))
        except (ValueError, orjson.JSONEncodeError):  # no base64, no JSON, or nested too deeply
            raise bad(f"b64{name} must be JSON in base64") from None
    if name not in given:
        return None
    try:
        return orjson.dumps(given.any(name))
    except orjson.JSONEncodeError:
        raise bad(f"{name} is nested too deeply") from None


def parse(body: bytes) -> Given:
    """The command in the body of a request. Raises Malformed."""
    try:
        return Given(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The body must be JSON: {error}") from None
