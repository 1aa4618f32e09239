"""Holds what the hub answers in any test against what its document says it answers."""

from __future__ import annotations

import re
from functools import cache, cached_property
from typing import Any

import jsonschema_rs

from hub.openapi.document import PLACE, document, template
from hub.routes import ROUTES


class Documented:
    """The document, and which of its answers a request may have."""

    @cached_property
    def _document(self) -> dict[str, Any]:
        return document(ROUTES)

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str], str]]:
        return [(one.method, _pattern(one.path), template(one.path)) for one in ROUTES]

    def check(self, method: str, path: str, status: int, kind: str, body: Any) -> None:
        """Assert that a route may answer this. What no route took is not looked at, nor what was to go wrong here."""
        template = next((of for verb, pattern, of in self._patterns if verb == method and pattern.fullmatch(path)), "")
        if not template or status == 500:
            return
        responses = self._document["paths"][template][method.lower()]["responses"]
        assert str(status) in responses, f"{method} {path} answered {status}, which is not documented: {body}"
        content = responses[str(status)].get("content", {})
        if not content:
            assert body is None, f"{method} {path} answered {status} with a body, which is not documented"
        elif kind in content:
            errors = self._validator(method, template, status, kind).iter_errors(body)
            said = [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors]
            assert not said, f"{method} {path} answered {status} in another shape than documented: {said}"
        else:
            assert "*/*" in content, f"{method} {path} answered {status} with {kind}, which is not documented"

    @cache  # noqa: B019 - there is one
    def _validator(self, method: str, template: str, status: int, kind: str) -> jsonschema_rs.Validator:
        content = self._document["paths"][template][method.lower()]["responses"][str(status)]["content"]
        return jsonschema_rs.validator_for({**content[kind]["schema"], "components": self._document["components"]})


def _pattern(path: str) -> re.Pattern[str]:
    parts = PLACE.split(path)  # text, name, expression, text, …
    found = "".join(
        re.escape(part) if i % 3 == 0 else f"(?:{part or '[^/]+'})" for i, part in enumerate(parts) if i % 3 != 1
    )
    return re.compile(found.removesuffix("/") + "/?" if found != "/" else "/")


DOCUMENTED = Documented()
