"""Files: what can be uploaded, who gets it back, when it goes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub import files
from hub.files import BLOBS
from hub.server import application
from models.access import Role
from models.resources.custom.definitions import load
from settings import Settings, SettingsError
from tests.hub.rest import Answer, Caller, Rest, serve
from tests.hub.test_custom_fields import defined, made

FILES = "/api/v1/files/"
PDF = b"%PDF-1.7\n..."


@pytest.fixture
async def rest(database: str, tmp_path: Path) -> AsyncIterator[Rest]:
    """A hub that keeps small files in a folder of the test's own."""
    async with serve(database, data=tmp_path, file_megabytes=1) as hub:
        yield hub


async def upload(caller: Caller, content: bytes, name: str = "offer.pdf", part: str = "file") -> Answer:
    """What the hub answers to a file."""
    # As browsers write it.
    head = f'--edge\r\nContent-Disposition: form-data; name="{part}"; filename="{name}"\r\n\r\n'
    body = io.BytesIO(head.encode() + content + b"\r\n--edge--\r\n")
    headers = {"Authorization": f"Bearer {caller.token}", "Content-Type": "multipart/form-data; boundary=edge"}
    async with caller.http.post(caller.url + FILES, data=body, headers=headers) as reply:
        return Answer(reply.status, await reply.json(), reply.headers)


async def content(caller: Caller, id: str) -> tuple[int, bytes, Any]:
    """A file's content as the hub gives it."""
    headers = {"Authorization": f"Bearer {caller.token}"}
    async with caller.http.get(f"{caller.url}{FILES}{id}/", headers=headers) as reply:
        return reply.status, await reply.read(), reply.headers


def _blobs(rest: Rest, folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def test_a_file_comes_back_as_it_was(rest: Rest, tmp_path: Path) -> None:
    rep = await rest.user(Role.SALES_REP)
    big = PDF + bytes(range(256)) * 4000
    told = (await upload(rep, big, "Angebot für Ä'.pdf")).body
    assert (told["name"], told["size"], told["content_type"]) == ("Angebot für Ä'.pdf", len(big), "application/pdf")
    status, back, headers = await content(rep, told["id"])
    assert (status, back) == (200, big)
    assert headers["Content-Type"] == "application/pdf"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"].startswith("attachment; ")
    assert "filename*=UTF-8''Angebot%20f%C3%BCr%20%C3%84%27.pdf" in headers["Content-Disposition"]
    assert (await rep.get(f"{FILES}{told['id']}/info/")).body == told
    again = (await upload(rep, big, "copy.pdf")).body
    assert (again["sha256"], again["id"] != told["id"]) == (told["sha256"], True)
    assert _blobs(rest, tmp_path) == [told["sha256"]]


async def test_what_is_refused_leaves_nothing(rest: Rest, tmp_path: Path) -> None:
    rep = await rest.user(Role.SALES_REP)
    for body, name in (
        (b"", "empty.pdf"),
        (b"MZ\x90\x00", "program.pdf"),
        (b"PK\x03\x04" + b"x" * 100, "archive.docx"),
        (b"text \xff\xfe", "text.txt"),
        (b"text\x00", "text.txt"),
        (b"halb " + b"\xc3", "text.txt"),
        (PDF, ".."),
    ):
        answer = await upload(rep, body, name)
        assert (answer.status, list(answer.body)) == (400, ["file"]), name
    assert (await upload(rep, PDF, part="other")).status == 400
    assert (await rep.post(FILES, {"file": "x"})).body == {
        "file": ["Send the file as multipart/form-data, in a part named file with a file name."]
    }
    large = await upload(rep, PDF + b"x" * 1024 * 1024)
    assert (large.status, large.body) == (413, {"detail": "The body may have at most 1,048,576 bytes."})
    for odd in (b"nonsense", b"--x\r\nNone--x--"):
        answer = await rep.call("POST", FILES, odd, headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert answer.status == 400
    assert _blobs(rest, tmp_path) == []
    assert await rest.pool.fetchval("SELECT count(*) FROM crm_files") == 0
    assert (await upload(rest.nobody, PDF)).status == 401


def _office(part: str) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(part, "<x/>")
    return whole.getvalue()


@pytest.mark.parametrize(
    ("body", "name", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n....", "x.exe", "image/png"),
        (b"\xff\xd8\xff\xe0", "x", "image/jpeg"),
        (b"GIF89a", "x.gif", "image/gif"),
        (b"RIFF1234WEBPVP8 ", "x.webp", "image/webp"),
        (_office("word/document.xml"), "x.docx", "word"),
        (_office("xl/workbook.xml"), "x.zip", "sheet"),
        (_office("ppt/presentation.xml"), "x", "presentation"),
        ("a,b\r\n1,ü\r\n".encode(), "x.CSV", "text/csv"),
        (b"<html><script>alert(1)</script>", "x.html", "text/plain"),
    ],
)
async def test_a_file_is_what_is_in_it(rest: Rest, body: bytes, name: str, media_type: str) -> None:
    answer = await upload(await rest.user(), body, name)
    assert (answer.status, media_type in answer.body["content_type"]) == (201, True)


async def test_names_are_names_alone(rest: Rest) -> None:
    admin = await rest.user()
    for given, kept in (
        ("../../etc/passwd.pdf", "passwd.pdf"),
        ("a\u202eb.pdf", "ab.pdf"),
    ):
        assert (await upload(admin, PDF, given)).body["name"] == kept
    long = (await upload(admin, PDF, "x" * 400 + ".pdf")).body["name"]
    assert (len(long), long[-4:]) == (255, ".pdf")


async def test_whoever_sees_the_record_and_the_field_gets_the_file(rest: Rest) -> None:
    admin, rep, other = await rest.user(), await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    viewer, support = await rest.user(Role.VIEWER), await rest.user(Role.CUSTOMER_SUPPORT)
    await defined(admin, "contract", "file")
    await defined(admin, "secret", "file", visible_to_roles=["sales_rep"])
    contract, secret = [(await upload(rep, PDF, name)).body["id"] for name in ("a.pdf", "b.pdf")]
    for caller in (other, viewer):
        assert (await content(caller, contract))[0] == 404
    lead = await made(rep, assigned_to=rep.id, custom_fields={"contract": contract, "secret": {"id": secret}})
    assert lead["custom_fields"] == {"contract": contract, "secret": secret}
    assert [(await content(one, contract))[0] for one in (rep, admin, viewer, support, other)] == [200] * 4 + [404]
    assert [(await content(one, secret))[0] for one in (rep, admin, viewer, support)] == [200, 200, 404, 404]
    assert (await admin.patch(f"/api/v1/leads/{lead['id']}/", {"custom_fields": {"contract": None}})).status == 200
    assert [(await content(one, contract))[0] for one in (rep, viewer)] == [200, 404]
    assert (await content(rep, "nonsense"))[0] == 404
    assert (await content(rep, "6ad1ef2e-6d59-4b7e-a9a7-1d9df8a2b9d7"))[0] == 404


async def test_a_file_belongs_to_one_place(rest: Rest) -> None:
    admin, rep, other = await rest.user(), await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    await defined(admin, "contract", "file")
    await defined(admin, "other", "file")
    file = (await upload(rep, PDF)).body["id"]
    theirs = await made(other)
    refused = await other.patch(f"/api/v1/leads/{theirs['id']}/", {"custom_fields": {"contract": file}})
    assert refused.body == {"custom_fields.contract": [f"There is no upload {file} to be had."]}
    before = await rest.changes()
    twice = {"first_name": "a", "last_name": "b", "email": "a@b.cd", "custom_fields": {"contract": file, "other": file}}
    assert (await rep.post("/api/v1/leads/", twice)).status == 400
    assert await rest.changes() == before
    lead = await made(rep, custom_fields={"contract": file})
    one = f"/api/v1/leads/{lead['id']}/"
    assert (await rep.patch(one, {"custom_fields": {"contract": file}})).status == 200
    assert (await rep.patch(one, {"custom_fields": {"other": file}})).status == 400
    assert (await rep.post("/api/v1/leads/", {**twice, "custom_fields": {"contract": file}})).status == 400
    missing = "6ad1ef2e-6d59-4b7e-a9a7-1d9df8a2b9d7"
    assert (await rep.patch(one, {"custom_fields": {"contract": missing}})).status == 400
    assert (await rep.get(one)).body["custom_fields"] == {"contract": file, "other": None}


async def test_files_nobody_refers_to_go_after_a_day(rest: Rest, tmp_path: Path) -> None:
    admin = await rest.user()
    await defined(admin, "contract", "file")
    used, unused, twin = [(await upload(admin, PDF + n, "a.pdf")).body for n in (b"1", b"2", b"1")]
    lead = await made(admin, custom_fields={"contract": used["id"]})
    blobs = rest.app[BLOBS]
    later = "UPDATE crm_files SET unused_since = unused_since - interval '25 hours'"

    async def there() -> set[str]:
        return {str(row["id"]) for row in await rest.pool.fetch("SELECT id FROM crm_files")}

    await files.sweep(rest.pool, blobs)
    assert await there() == {used["id"], unused["id"], twin["id"]}
    await rest.pool.execute(later)
    await files.sweep(rest.pool, blobs)
    assert await there() == {used["id"]}
    assert _blobs(rest, tmp_path) == [used["sha256"]]
    one = f"/api/v1/leads/{lead['id']}/"
    assert (await admin.patch(one, {"custom_fields": {"contract": None}})).status == 200
    await files.sweep(rest.pool, blobs)
    assert (await admin.patch(one, {"custom_fields": {"contract": used["id"]}})).status == 200
    await rest.pool.execute(later)
    await files.sweep(rest.pool, blobs)
    assert await there() == {used["id"]}
    assert (await admin.delete(one)).status == 204
    for _ in range(2):
        await files.sweep(rest.pool, blobs)
        await rest.pool.execute(later)
    await files.sweep(rest.pool, blobs)
    assert (await there(), _blobs(rest, tmp_path)) == (set(), [])
    assert (await load(rest.pool)).version > 0


async def test_a_blob_that_is_elsewhere_is_said_to_be(rest: Rest, tmp_path: Path) -> None:
    admin = await rest.user()
    told = (await upload(admin, PDF)).body
    rest.app[BLOBS].path(told["sha256"]).unlink()
    assert (await content(admin, told["id"]))[0] == 503


def test_types_are_checked_when_the_hub_starts() -> None:
    with pytest.raises(SettingsError, match="HUB_FILE_TYPES has 'exe'"):
        application(Settings(secret="s" * 32, file_types="pdf,exe"), pool=None)  # type: ignore[arg-type]
