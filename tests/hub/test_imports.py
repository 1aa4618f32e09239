"""Files become records by a job, under the same rules as requests, and can be taken back."""

from __future__ import annotations

import csv
import io
from typing import Any

import orjson

from models.access import Role
from streams.imports.steps import JUDGED
from tests.hub.importing import IMPORTS, at_once, done, form, send, step, text, work
from tests.hub.rest import LEAD, Caller, Rest, serve

LEADS = b"First Name,Last Name,E-mail,Status\nIda,Holt,ida@example.com,New\nKai,Brandt,kai@example.com,qualified\n"


async def upload(caller: Caller, file: bytes = LEADS, kind: str = "leads", **fields: str) -> dict[str, Any]:
    answer = await send(caller, IMPORTS, file, type=kind, **fields)
    assert answer.status == 201, answer.body
    body: dict[str, Any] = answer.body
    return body


async def emails(rest: Rest, table: str = "crm_leads") -> list[str]:
    return [row["email"] for row in await rest.pool.fetch(f"SELECT email FROM {table} ORDER BY id")]


async def test_a_file_is_looked_at_checked_and_written(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    given = await upload(rep)
    assert given["detected"] | {"rows": None} == {
        "format": "csv", "encoding": "utf-8", "delimiter": ",", "header": True, "dates": "", "decimal": "",
        "columns": ["First Name", "Last Name", "E-mail", "Status"], "lines": 3, "rows": None,
    }  # fmt: skip
    assert given["mapping"]["email"] == {"column": "E-mail"}
    assert given["problems"] == {}
    assert given["preview"][0]["values"]["first_name"] == "Ida"

    checked = await done(rest, rep, given["id"], "dry_run")
    assert checked["status"] == "completed", checked
    assert checked["result"] == {
        "dry_run": True, "rows": 2, "created": 2, "updated": 0, "unchanged": 0, "duplicates": 0, "errors": 0,
    }  # fmt: skip
    assert await emails(rest) == []
    assert checked["parameters"]["entity"] == "lead"

    ran = await done(rest, rep, given["id"])
    assert ran["result"]["created"] == 2
    assert ran["done"] == ran["total"] == 4
    rows = await rest.pool.fetch("SELECT * FROM crm_leads ORDER BY id")
    assert [(row["first_name"], row["status"], row["priority"], row["owner_id"]) for row in rows] == [
        ("Ida", "new", "medium", rep.id), ("Kai", "qualified", "medium", rep.id),
    ]  # fmt: skip
    contexts = await rest.pool.fetch("SELECT context FROM events WHERE type = 'lead.created'")
    assert [orjson.loads(row["context"])["source"] for row in contexts] == ["job", "job"]
    again = await rep.post(f"{IMPORTS}{given['id']}/run/", None)
    assert again.status == 409
    assert (await rep.delete(f"{IMPORTS}{given['id']}/")).status == 204


async def test_in_one_request_as_the_original_did(rest: Rest) -> None:
    admin = await rest.user()
    file = LEADS + b"Bad,,nothing,odd\n"
    mapping = '{"First Name": "first_name", "Last Name": "last_name", "E-mail": "email", "Status": "status"}'
    answer = await at_once(rest, admin, "leads", file, mapping=mapping)
    assert answer.status == 200, answer.body
    assert (answer.body["success"], answer.body["imported"], answer.body["errors"]) == (True, 2, 1)
    assert answer.body["error_details"] == [
        {
            "row": 4,
            "error": "email: Enter a valid e-mail address.; status: Must be one of new, contacted, qualified,"
            " unqualified, converted, lost.",
            "data": {"First Name": "Bad", "Last Name": "", "E-mail": "nothing", "Status": "odd"},
        }
    ]
    assert (await send(admin, "/api/v1/import/users/", file)).status == 400
    template = await text(admin, "/api/v1/import/leads/")
    assert template.decode().startswith("first_name,last_name,email,phone,")


async def test_one_bad_row_keeps_all_out_where_errors_are_not_skipped(rest: Rest) -> None:
    admin = await rest.user()
    answer = await at_once(rest, admin, "leads", LEADS + b"Bad,Row,nothing,new\n", skip_errors="false")
    assert (answer.body["success"], answer.body["imported"], answer.body["errors"]) == (False, 0, 1)
    assert await emails(rest) == []


async def test_bad_rows_are_a_file_to_mend(rest: Rest) -> None:
    admin = await rest.user()
    given = await upload(admin, LEADS + b"=cmd,Row,nothing,new\n,,,\nToo,Many,m@example.com,new,more\n")
    job = await done(rest, admin, given["id"])
    assert (job["result"]["created"], job["result"]["errors"], job["failed"]) == (2, 2, 2)
    rows = list(csv.reader(io.StringIO((await text(admin, f"{IMPORTS}{given['id']}/errors.csv")).decode())))
    assert rows[0] == ["row", "error", "First Name", "Last Name", "E-mail", "Status"]
    assert rows[1] == ["4", "email: Enter a valid e-mail address.", "'=cmd", "Row", "nothing", "new"]
    assert rows[2][:2] == ["6", "row: Has 5 cells, but there are 4 columns."]


async def test_records_that_are_there_are_changed_and_put_back(rest: Rest) -> None:
    admin = await rest.user()
    ida = (await admin.post("/api/v1/leads/", {**LEAD, "notes": "kept", "status": "contacted"})).body
    file = LEADS.replace(b"ida@", b"IDA@").replace(b"New", b"lost")
    given = await upload(admin, file, update_existing="true")
    job = await done(rest, admin, given["id"])
    assert (job["result"]["created"], job["result"]["updated"]) == (1, 1)
    after = (await admin.get(f"/api/v1/leads/{ida['id']}/")).body
    assert (after["status"], after["notes"], after["email"]) == ("lost", "kept", "IDA@example.com")

    second = await upload(admin, file, update_existing="true")
    assert (await done(rest, admin, second["id"]))["result"]["unchanged"] == 2

    undone = await done(rest, admin, given["id"], "undo")
    assert undone["result"] == {"deleted": 1, "restored": 1, "gone": 0, "conflicts": 0, "conflict_details": []}
    back = (await admin.get(f"/api/v1/leads/{ida['id']}/")).body
    assert (back["status"], back["email"]) == ("contacted", "ida@example.com")
    assert await emails(rest) == ["ida@example.com"]
    assert (await admin.post(f"{IMPORTS}{given['id']}/undo/", None)).status == 409


async def test_what_was_changed_since_is_left_and_reported(rest: Rest) -> None:
    admin = await rest.user()
    contacts = b"first_name,last_name,email\nA,A,a@example.com\nB,B,b@example.com\nC,C,c@example.com\n"
    given = await upload(admin, contacts, "contacts")
    await done(rest, admin, given["id"])
    ids = [row["id"] for row in await rest.pool.fetch("SELECT id FROM crm_contacts ORDER BY id")]
    await admin.patch(f"/api/v1/contacts/{ids[0]}/", {"notes": "met"})
    deal = {"name": "Deal", "contact": ids[1], "amount": "1.00", "expected_close_date": "2026-01-01"}
    made = await admin.post("/api/v1/opportunities/", deal)
    assert made.status == 201
    undone = await done(rest, admin, given["id"], "undo")
    assert undone["result"]["deleted"] == 1
    assert undone["result"]["conflict_details"] == [
        {"row": 3, "id": ids[1], "error": f"Opportunity {made.body['id']} would be deleted with it."},
        {"row": 2, "id": ids[0], "error": "It was changed since."},
    ]
    await admin.delete(f"/api/v1/opportunities/{made.body['id']}/")
    again = await done(rest, admin, given["id"], "undo")
    assert (again["result"]["deleted"], again["result"]["conflicts"]) == (1, 1)
    assert await emails(rest, "crm_contacts") == ["a@example.com"]


async def test_what_may_not_be_changed_is_not(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    await admin.post("/api/v1/leads/", {**LEAD, "assigned_to": admin.id})
    hidden = (await admin.get("/api/v1/leads/")).body["results"][0]["id"]
    # Not seen, so not known: a new lead is made, and the other one stays as it is.
    given = await upload(rep, update_existing="true")
    assert (await done(rest, rep, given["id"]))["result"]["created"] == 2
    assert (await admin.get(f"/api/v1/leads/{hidden}/")).body["status"] == "new"
    by_id = b"id,status\n%d,lost\n" % hidden
    given = await upload(rep, by_id, update_existing="true")
    job = await done(rest, rep, given["id"])
    assert job["result"]["errors"] == 1
    # A contact's address is anybody's only once.
    contact = {"first_name": "Kai", "last_name": "Brandt", "email": "kai@example.com", "assigned_to": admin.id}
    assert (await admin.post("/api/v1/contacts/", contact)).status == 201
    given = await upload(rep, LEADS, "contacts", update_existing="true", mapping='{"E-mail": "email"}')
    job = await done(rest, rep, given["id"])
    assert job["result"]["errors"] == 2
    errors = (await text(rep, f"{IMPORTS}{given['id']}/errors.csv")).decode()
    assert "A contact with this email already exists." in errors
    viewer = await rest.user(Role.VIEWER)
    assert (await send(viewer, IMPORTS, LEADS, type="leads")).status == 403
    assert (await viewer.get(f"{IMPORTS}{given['id']}/")).status == 404
    assert (await rest.nobody.get(IMPORTS)).status == 401


async def test_a_mapping_cannot_reach_what_a_request_cannot(rest: Rest) -> None:
    admin = await rest.user()
    for field in ("owner", "created_at", "converted_at", "owner_id", "full_name", "nonsense"):
        answer = await send(admin, IMPORTS, LEADS, type="leads", mapping=orjson.dumps({"E-mail": field}).decode())
        assert answer.status == 400, field
        assert answer.body["mapping"][0].startswith(f"{field}: is ")
    given = await upload(admin)
    bad = await admin.patch(f"{IMPORTS}{given['id']}/", {"mapping": {"id": {"column": "Status"}}})
    assert bad.status == 400
    assert await rest.pool.fetchval("SELECT count(*) FROM imports") == 1


async def test_relations_are_found_by_what_people_call_them(rest: Rest) -> None:
    admin = await rest.user(username="ada")
    kai = (
        await admin.post("/api/v1/contacts/", {"first_name": "K", "last_name": "B", "email": "kai@example.com"})
    ).body
    file = (
        b"name,amount,expected_close_date,contact,assigned_to\n"
        b"One,10,2026-01-31,KAI@example.com,Ada\nTwo,11.50,2026-01-31,%d,ada@example.com\n"
        b"Three,12,2026-01-31,nobody@example.com,\nFour,13,2026-01-31,kai@example.com,eve\n" % kai["id"]
    )
    given = await upload(admin, file, "opportunities")
    job = await done(rest, admin, given["id"])
    assert (job["result"]["created"], job["result"]["errors"]) == (2, 2)
    rows = await rest.pool.fetch("SELECT contact_id, assigned_to_id FROM crm_opportunities ORDER BY id")
    assert [tuple(row) for row in rows] == [(kai["id"], admin.id)] * 2
    errors = (await text(admin, f"{IMPORTS}{given['id']}/errors.csv")).decode()
    assert "contact: There is no contact 'nobody@example.com'." in errors
    assert "assigned_to: There is no user 'eve'." in errors


async def test_of_rows_about_the_same_record_the_last_one_counts(rest: Rest) -> None:
    admin = await rest.user()
    file = b"first_name,last_name,email\nOld,X,x@example.com\nNew,X,X@example.com\n"
    for duplicates, name in (("last", "New"), ("first", "Old")):
        given = await upload(admin, file, "contacts", duplicates=duplicates)
        result = (await done(rest, admin, given["id"]))["result"]
        assert (result["created"], result["duplicates"]) == (1, 1)
        assert await rest.pool.fetchval("SELECT first_name FROM crm_contacts") == name
        await done(rest, admin, given["id"], "undo")


async def test_whom_records_are_given_is_told_once(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP, username="bob")
    file = b"title,assigned_to\n" + b"Call,bob\n" * 3 + b"Mine,%d\n" % admin.id
    given = await upload(admin, file, "tasks")
    assert (await done(rest, admin, given["id"]))["result"]["created"] == 4
    ended = orjson.loads(await rest.pool.fetchval("SELECT data FROM events WHERE type = 'job.ended'"))
    assert (ended["entity"], ended["assigned"]) == ("task", {str(rep.id): 3})


async def test_another_way_of_reading_can_be_chosen(rest: Rest) -> None:
    admin = await rest.user()
    file = "Vorname;Nachname;E-mail;estimated_value;next_follow_up\nJörg;Groß;j@example.com;1.234,50;01/02/2026\n"
    given = await upload(admin, file.encode("cp1252"))
    assert given["detected"]["encoding"] == "cp1252"
    assert given["detected"]["delimiter"] == ";"
    assert given["detected"]["decimal"] == ","
    mapping = {"Vorname": "first_name", "Nachname": "last_name", "E-mail": "email",
               "estimated_value": "estimated_value", "next_follow_up": "next_follow_up"}  # fmt: skip
    body = (await admin.patch(f"{IMPORTS}{given['id']}/", {"mapping": mapping})).body
    assert body["preview"][0]["errors"] == {
        "next_follow_up": "01/02/2026 can be read in two ways: say whether dates are dmy or mdy."
    }
    body = (await admin.patch(f"{IMPORTS}{given['id']}/", {"options": {"dates": "dmy"}})).body
    assert body["preview"][0]["errors"] == {}
    assert (await done(rest, admin, given["id"]))["result"]["created"] == 1
    row = await rest.pool.fetchrow("SELECT * FROM crm_leads")
    assert (row["first_name"], row["last_name"], str(row["estimated_value"])) == ("Jörg", "Groß", "1234.50")
    assert row["next_follow_up"].isoformat() == "2026-02-01T00:00:00+00:00"


async def test_a_file_is_kept_once_however_often_it_is_sent(rest: Rest) -> None:
    admin = await rest.user()
    answers = []
    headers = {"Authorization": f"Bearer {admin.token}", "Idempotency-Key": "once"}
    for _ in range(2):
        async with rest.http.post(rest.url + IMPORTS, data=form(LEADS, type="leads"), headers=headers) as reply:
            answers.append(((await reply.json())["id"], reply.status))
    assert answers[0] == answers[1]
    assert await rest.pool.fetchval("SELECT count(*) FROM imports") == 1
    await work(rest)


async def test_what_goes_bad_between_check_and_write_takes_everything_back(rest: Rest) -> None:
    admin = await rest.user()
    rows = b"".join(b"A,B,a%d@example.com\n" % n for n in range(JUDGED + 100))
    given = await upload(admin, b"first_name,last_name,email\n" + rows, "contacts", skip_errors="false")
    begun = await admin.post(f"{IMPORTS}{given['id']}/run/", None)
    while await rest.pool.fetchval("SELECT state ->> 'phase' FROM jobs") != "write":
        await step(rest)
    await step(rest)
    assert len(await emails(rest, "crm_contacts")) == JUDGED
    late_email = f"a{JUDGED + 50}@example.com"
    late = {"first_name": "L", "last_name": "M", "email": late_email}
    assert (await admin.post("/api/v1/contacts/", late)).status == 201
    await work(rest)
    job = (await admin.get(f"/api/v1/jobs/{begun.body['id']}/")).body
    assert (job["status"], job["result"]["created"], job["result"]["errors"]) == ("completed", 0, 1)
    assert await emails(rest, "crm_contacts") == [late_email]


async def test_files_that_are_none(rest: Rest) -> None:
    admin = await rest.user()
    for file, name in ((b"", "x.csv"), (b"PK\x03\x04x", "x.xlsx"), (b"\n\n", "x.csv")):
        answer = await send(admin, IMPORTS, file, name, type="leads")
        assert (answer.status, list(answer.body)) == (400, ["file"])
    assert (await admin.post(IMPORTS, {"type": "leads"})).status == 400
    parts = {"Content-Type": "multipart/form-data; boundary=x"}
    broken = await admin.post(IMPORTS, b"--x\r\n-1.5--x--\r\n", headers=parts)
    assert (broken.status, list(broken.body)) == (400, ["file"])
    assert (await send(admin, IMPORTS, LEADS, type="users")).status == 400
    for name, text_ in (("encoding", "ebcdic"), ("delimiter", "x"), ("colour", "red"), ("dates", "dym")):
        answer = await send(admin, IMPORTS, LEADS, type="leads", **{name: text_})
        assert (answer.status, list(answer.body)) == (400, [name])
    assert await rest.pool.fetchval("SELECT count(*) FROM imports") == 0
    assert await rest.pool.fetchval("SELECT count(*) FROM import_pieces") == 0


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(database: str) -> None:
    async with serve(database, import_megabytes=1) as rest:
        answer = await send(await rest.user(), IMPORTS, b"x" * (1024 * 1024 + 1), type="leads")
        assert answer.status == 413
        assert await rest.pool.fetchval("SELECT count(*) FROM import_pieces") == 0


async def test_what_a_careless_reader_trips_over(rest: Rest) -> None:
    admin = await rest.user()
    file = b'first_name,last_name,email,notes\nA,B,a@example.com,\x00\nC,D,c@example.com,"open\n\nE,F,e@example.com,"\n'
    given = await upload(admin, file)
    result = (await done(rest, admin, given["id"]))["result"]
    assert (result["created"], result["errors"]) == (1, 1)
    assert await rest.pool.fetchval("SELECT notes FROM crm_leads") == "open\n\nE,F,e@example.com,"
    # The rest of the file is not of the encoding that was chosen.
    broken = b"first_name,last_name,email\n" + b"A,B,a@example.com\n" * 40_000 + b"\xff,B,b@example.com\n"
    given = await upload(admin, broken, encoding="utf-8")
    job = await done(rest, admin, given["id"])
    assert (job["status"], job["error"]) == ("failed", "The file is not utf-8: bytes ff.")
    endless = b'first_name,last_name,email\nA,B,"' + b"x" * 200_000
    given = await upload(
        admin, endless, mapping='{"first_name": "first_name", "last_name": "last_name", "email": "email"}'
    )
    job = await done(rest, admin, given["id"])
    assert (job["status"], "quotation mark" in job["error"]) == ("failed", True)
