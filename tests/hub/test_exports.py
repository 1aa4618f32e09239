"""What one may see can be taken away as a file, and brought back unchanged."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import openpyxl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.access import Role
from models.resources.leads import LEADS
from tests.examples import examples
from tests.hub.importing import IMPORTS, done, send, text
from tests.hub.rest import LEAD, Caller, Rest

EXPORT = "/api/v1/export/leads/"


def rows(file: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.decode(), newline="")))


async def test_the_usual_columns_of_what_one_may_see(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    await admin.post("/api/v1/leads/", {**LEAD, "assigned_to": admin.id})
    mine = (await rep.post("/api/v1/leads/", {**LEAD, "status": "lost", "phone": "+49 30 1"})).body
    async with rest.http.get(rest.url + EXPORT, headers={"Authorization": f"Bearer {rep.token}"}) as reply:
        assert (reply.status, reply.content_type) == (200, "text/csv")
        assert re.search(r'filename="leads_export_\d{8}_\d{6}\.csv"', reply.headers["Content-Disposition"])
        found = rows(await reply.read())
    assert ",".join(found[0]) == (
        "id,first_name,last_name,email,phone,company_name,job_title,lead_source,status,priority,lead_score,"
        "created_at,updated_at"
    )
    assert [row[:5] for row in found[1:]] == [[str(mine["id"]), "Ida", "Holt", "ida@example.com", "'+49 30 1"]]
    assert found[1][-2] == mine["created_at"]
    assert len(rows(await text(admin, EXPORT))) == 3
    assert len(rows(await text(admin, f"{EXPORT}?status=lost&fields=id,tags&ordering=lead_score"))) == 2
    for wrong in ("fields=password", "format=pdf", "status=odd", "nonsense=1", "ordering=tags", "page=2"):
        assert (await admin.get(f"{EXPORT}?{wrong}")).status == 400
    assert (await admin.get("/api/v1/export/users/")).status == 400
    assert (await rest.nobody.get(EXPORT)).status == 401
    event = await rest.pool.fetchrow("SELECT data -> 'after' ->> 'type' AS t FROM events WHERE type = 'export.created'")
    assert event["t"] == "leads"


async def test_a_spreadsheet_of_the_same(rest: Rest) -> None:
    admin = await rest.user()
    lead = {**LEAD, "first_name": "=1+1", "last_name": "<&>_x0041_", "notes": "a\nb\tc", "estimated_value": "1200.50"}
    made = (await admin.post("/api/v1/leads/", lead)).body
    file = await text(admin, f"{EXPORT}?format=xlsx&fields=id,first_name,last_name,email,notes,estimated_value,tags")
    sheet = openpyxl.load_workbook(io.BytesIO(file)).active
    assert sheet is not None
    assert [cell.value for cell in sheet[1]][:3] == ["id", "first_name", "last_name"]
    assert [cell.value for cell in sheet[2]] == [
        made["id"], "=1+1", "<&>_x005F_x0041_", "ida@example.com", "a\nb\tc", 1200.5, None,
    ]  # fmt: skip
    assert [cell.data_type for cell in sheet[2]][1] != "f"
    changed = await _again(rest, admin, file, "export.xlsx")
    assert changed == {"updated": 0, "unchanged": 1, "errors": 0}


async def _again(rest: Rest, caller: Caller, file: bytes, name: str, kind: str = "leads") -> dict[str, int]:
    """What an import of one's own export changes."""
    answer = await send(caller, IMPORTS, file, name, type=kind, update_existing="true")
    assert answer.status == 201, answer.body
    assert answer.body["problems"] == {}
    job = await done(rest, caller, answer.body["id"])
    assert job["status"] == "completed", job
    return {key: job["result"][key] for key in ("updated", "unchanged", "errors")}


#: Texts that get lost or run where a file is read carelessly.
NASTY = st.one_of(
    st.sampled_from(
        ["=1+1", "'=1", "''+", "-5", "@x", "007", "1e5", "a,b;c\td|e", '"quoted"', '"', "a\r\nb", "a\rb", "\u2028x",
         "é\U0001f600", "_x0041_", "TRUE", "NULL", "null", "01/02/2024", "1,234.50", "{}", "[1]", "\\N", "'"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
)  # fmt: skip
SOME = st.builds(str.strip, NASTY)
MOMENTS = st.datetimes(timezones=st.just(__import__("datetime").UTC)).filter(lambda m: m.year > 1)
RECORDS = st.fixed_dictionaries(
    {
        "first_name": SOME.filter(bool),
        "last_name": SOME.filter(bool),
        "phone": SOME.map(lambda text: text[:20].strip()),
        "company_name": SOME,
        "notes": SOME,
        "tags": st.lists(SOME.filter(bool), max_size=3, unique=True),
        "estimated_value": st.none() | st.decimals(0, 9_999_999_999, places=2).map(str),
        "lead_score": st.integers(0, 100),
        "next_follow_up": st.none() | MOMENTS.map(lambda moment: moment.isoformat()),
    }
)


async def test_export_and_import_again_changes_nothing(rest: Rest) -> None:
    admin = await rest.user()
    every = ",".join(LEADS.stored)

    @settings(max_examples=examples(15), suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(RECORDS, min_size=1, max_size=8))
    def collect(records: list[dict[str, Any]]) -> None:
        made.extend(records)

    made: list[dict[str, Any]] = []
    collect()
    for record in made[:: max(1, len(made) // 150)]:
        answer = await admin.post("/api/v1/leads/", {**LEAD, **record})
        assert answer.status == 201, (record, answer.body)
    count = await rest.pool.fetchval("SELECT count(*) FROM crm_leads")
    before = await rest.pool.fetch("SELECT * FROM crm_leads ORDER BY id")
    for form in ("csv", "xlsx"):
        file = await text(admin, f"{EXPORT}?fields={every}&format={form}")
        assert await _again(rest, admin, file, f"x.{form}") == {"updated": 0, "unchanged": count, "errors": 0}
    assert await rest.pool.fetch("SELECT * FROM crm_leads ORDER BY id") == before
