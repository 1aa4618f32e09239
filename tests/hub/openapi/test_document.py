from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from aiohttp import web
from schemathesis.specs.openapi.definitions import OPENAPI_30_VALIDATOR, OPENAPI_31_VALIDATOR

from hub.openapi.document import document, operation_id, template
from hub.openapi.older import older
from hub.openapi.operation import UndocumentedError
from hub.routes import PUBLIC, ROUTES, Route


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document(ROUTES)


def operations(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in made["paths"].values() for operation in path.values()]


def test_it_is_valid_openapi(made: dict[str, Any]) -> None:
    OPENAPI_31_VALIDATOR.validate(made)


def test_the_older_form_is_valid_openapi_3_0(made: dict[str, Any]) -> None:
    OPENAPI_30_VALIDATOR.validate(older(made))


def test_every_route_is_in_it(made: dict[str, Any]) -> None:
    for route in ROUTES:
        operation = made["paths"][template(route.path)][route.method.lower()]
        assert operation["summary"], f"{route.method} {route.path}: its handler has no docstring"


def test_a_handler_that_says_nothing_is_named() -> None:
    async def silent(request: web.Request) -> web.Response:
        raise NotImplementedError

    with pytest.raises(UndocumentedError, match=r"GET /api/silent/: .*silent does not say.*@documented"):
        document([Route("GET", "/api/silent/", silent, PUBLIC)])


def test_operations_have_names_of_their_own(made: dict[str, Any]) -> None:
    names = Counter(operation["operationId"] for operation in operations(made))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("method", "path", "lists", "name"),
    [
        ("GET", "/api/v1/leads/", True, "leads_list"),
        ("GET", "/api/v1/leads/{id:[0-9]+}/", False, "leads_retrieve"),
        ("PATCH", "/api/v1/audit-trail/{id}/", False, "audit_trail_partial_update"),
        ("POST", "/api/auth/login/", False, "auth_login_create"),
    ],
)
def test_operations_are_called_as_the_original_called_them(method: str, path: str, lists: bool, name: str) -> None:
    assert operation_id(method, path, lists) == name


def test_a_resource_is_described_by_its_declaration(made: dict[str, Any]) -> None:
    schemas = made["components"]["schemas"]
    assert set(schemas["LeadInput"]["required"]) == {"first_name", "last_name", "email"}
    assert "required" not in schemas["LeadChanges"]
    assert "owner" not in schemas["LeadInput"]["properties"]
    assert schemas["Lead"]["properties"]["owner_detail"]["anyOf"] == [
        {"$ref": "#/components/schemas/UserReference"},
        {"type": "null"},
    ]
    assert "notes" not in schemas["LeadItem"]["properties"]
    assert "owner_name" not in schemas["LeadItem"]["required"]


def test_who_may_call_is_said(made: dict[str, Any]) -> None:
    paths = made["paths"]
    assert paths["/api/v1/leads/"]["get"]["security"] == [{"token": []}]
    assert paths["/api/auth/login/"]["post"]["security"] == []
    assert paths["/api/publish/"]["post"]["security"] == [{"apiKey": []}]
    assert "admin, manager" in paths["/api/v1/publish/"]["post"]["description"]
