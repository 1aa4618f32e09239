"""A real retail sample becomes contacts and deals by mapping alone, goes out again, and changes nothing coming back."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import orjson
import pytest

from models.imports.plan import TYPES
from tests.hub.importing import IMPORTS, done, send, text
from tests.hub.rest import Rest

FILE = Path(__file__).parents[2].parent / "shared" / "data" / "superstore.csv"
EMAIL = "{Customer ID}@superstore.example"

CONTACTS = {
    "email": {"template": EMAIL},
    "first_name": {"column": "Customer Name", "take": "first_word"},
    "last_name": {"column": "Customer Name", "take": "other_words", "default": "{Customer Name}"},
    "company_name": {"column": "Segment", "map": {"Consumer": "", "Home Office": ""}},
    "contact_type": {"value": "customer"},
    "source": {"value": "superstore"},
    "city": {"column": "City"},
    "state": {"column": "State"},
    "postal_code": {"column": "Postal Code"},
    "country": {"column": "Country"},
}
DEALS = {
    "name": {"template": "Order {Order ID}"},
    "contact": {"template": EMAIL},
    "amount": {"column": "Sales", "sum": True, "round": 2},
    "stage": {"value": "closed_won"},
    "probability": {"value": 100},
    "expected_close_date": {"column": "Order Date"},
    "actual_close_date": {"column": "Ship Date"},
    "tags": {"column": "Ship Mode"},
}


def test_the_mappings_are_those_of_the_guide() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "imports.md").read_text()
    given = [orjson.loads(text) for text in re.findall(r"mapping=(\{.*?\})'", guide, re.DOTALL)]
    assert given == [CONTACTS, DEALS]


@pytest.mark.skipif(not FILE.exists(), reason="the sample is not there")
async def test_superstore(rest: Rest) -> None:
    admin = await rest.user()
    file = FILE.read_bytes()
    lines = list(csv.DictReader(io.StringIO(file.decode(), newline="")))
    customers = {line["Customer ID"]: line for line in lines}
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        totals[f"Order {line['Order ID']}"] += Decimal(line["Sales"])

    for kind, mapping, key, count in (
        ("contacts", CONTACTS, "email", len(customers)),
        ("opportunities", DEALS, "name", len(totals)),
    ):
        fields = {"type": kind, "mapping": orjson.dumps(mapping).decode(), "key": key}
        given = await send(admin, IMPORTS, file, "superstore.csv", **fields)
        assert given.status == 201, given.body
        job = await done(rest, admin, given.body["id"])
        result = job["result"]
        assert (result["created"], result["duplicates"], result["errors"]) == (count, len(lines) - count, 0), job

    rows = await rest.pool.fetch("SELECT * FROM crm_contacts")
    known = {row["email"].partition("@")[0]: (f"{row['first_name']} {row['last_name']}", row["city"]) for row in rows}
    assert {id: (line["Customer Name"], line["City"]) for id, line in customers.items()} == {
        id: ("Corey-Lock", city) if name == "Corey-Lock Corey-Lock" else (name, city)
        for id, (name, city) in known.items()
    }
    deals = await rest.pool.fetch(
        "SELECT o.name, o.amount, c.email FROM crm_opportunities o JOIN crm_contacts c ON c.id = o.contact_id"
    )
    cents = {name: total.quantize(Decimal("0.01"), ROUND_HALF_EVEN) for name, total in totals.items()}
    assert {row["name"]: row["amount"] for row in deals} == cents
    assert {(row["name"], row["email"]) for row in deals} == {
        (f"Order {line['Order ID']}", f"{line['Customer ID']}@superstore.example") for line in lines
    }
    events = await rest.changes()
    for kind, key in (("contacts", "customers"), ("opportunities", "deals")):
        export = await text(admin, f"/api/v1/export/{kind}/?fields={','.join(TYPES[kind].stored)}")
        given = await send(admin, IMPORTS, export, f"{key}.csv", type=kind, update_existing="true")
        result = (await done(rest, admin, given.body["id"]))["result"]
        assert (result["created"], result["updated"], result["errors"]) == (0, 0, 0)
    changed = await rest.pool.fetchval(
        "SELECT count(*) FROM (SELECT * FROM events ORDER BY id OFFSET $1) e WHERE topic = 'crm.changes'"
        " AND type <> 'export.created'",
        events,
    )
    assert changed == 0
