"""Paths: whatever can be reached has a name that leads there, and what is no field can be named too."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from models import database
from models.access import Role, Viewer
from models.resources import filters
from models.resources.catalogue import RESOURCES
from models.resources.conditions import Conditions
from models.resources.kinds import Decimal
from models.resources.leads import LEADS
from models.resources.mistakes import Invalid, Mistake
from models.resources.operands import Operand, find, operands, reachable
from models.resources.opportunities import OPPORTUNITIES
from models.resources.ordering import order
from models.resources.resource import Resource

REVENUE = Operand(
    path="custom_fields__revenue",
    kind=Decimal(20, 2),
    sql=lambda alias: f"(\"{alias}\".custom_fields #>> '{{revenue}}')::numeric",
)
MORE = {"contact": {REVENUE.path: REVENUE}}
ADMIN = Viewer(id=1, role=Role.ADMIN)


@pytest.fixture(autouse=True)
async def models() -> AsyncIterator[None]:
    async with database.orm("postgresql://nobody@127.0.0.1:1/none"):
        yield


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.path)
def test_whatever_can_be_reached_is_found_by_its_name(resource: Resource) -> None:
    paths = [operand.path for operand in reachable(resource, depth=3)]
    assert set(operands(resource)) == {path for path in paths if "__" not in path} == set(resource.stored)
    for operand in reachable(resource, depth=3):
        for word in operand.lookups:
            found, lookup = find(resource, f"{operand.path}__{word}" if word else operand.path)
            assert (found.path, found.through, lookup) == (operand.path, operand.through, word)
    assert not [path for path in paths if "password" in path or "secret" in path]


def test_what_is_no_field_has_lookups_and_orders_like_one() -> None:
    said = {"contact__custom_fields__revenue__gte": "5.50"}
    conditions = Conditions()
    filters.read(OPPORTUNITIES, said, MORE).narrow(conditions, ADMIN)
    assert "(\"via1\".custom_fields #>> '{revenue}')::numeric >= $1" in conditions.sql
    assert [str(value) for value in conditions.values] == ["5.50000000"]
    (key, _) = order(OPPORTUNITIES, "-contact__custom_fields__revenue", ADMIN, MORE)
    assert (key.null, key.descending) == (True, True)
    with pytest.raises(Invalid, match="custom_fields__revenue"):
        filters.read(OPPORTUNITIES, said)


def test_paths_that_lead_nowhere() -> None:
    for path in ("colour", "", "__", "status__", "owner__"):
        with pytest.raises(Invalid):
            filters.read(LEADS, {path: "x"})
    with pytest.raises(Invalid, match=r"cannot be compared by colour.*go on to one of: id, salutation"):
        filters.read(OPPORTUNITIES, {"contact__colour": "red"})
    with pytest.raises(Mistake, match="The fields of contacts are: id, salutation"):
        find(OPPORTUNITIES, "contact__colour__gte")
