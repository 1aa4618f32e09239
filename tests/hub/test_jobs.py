"""Jobs are seen, ended and gone on with by whoever began them, and by admin and manager."""

from __future__ import annotations

from uuid import UUID, uuid4

from models import jobs
from models.access import Role
from models.database import Context
from tests.hub.rest import Caller, Rest

JOBS = "/api/v1/jobs/"


async def _job(rest: Rest, owner: Caller, **columns: object) -> UUID:
    id = await jobs.start("count", {"leads": 3}, Context(actor=owner.id), total=3)
    for name, value in columns.items():
        await rest.pool.execute(f"UPDATE jobs SET {name} = $2 WHERE id = $1", id, value)
    return id


async def test_one_sees_ones_own(rest: Rest) -> None:
    admin, rep, other = await rest.user(), await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    id = await _job(rest, rep)
    for caller, status in ((admin, 200), (rep, 200), (other, 404), (rest.nobody, 401)):
        assert (await caller.get(f"{JOBS}{id}/")).status == status
    job = (await rep.get(f"{JOBS}{id}/")).body
    assert job["id"] == str(id)
    assert (job["kind"], job["status"], job["total"], job["done"]) == ("count", "pending", 3, 0)
    assert job["parameters"] == {"leads": 3}
    assert [one["id"] for one in (await rep.get(JOBS)).body["results"]] == [str(id)]
    assert (await other.get(JOBS)).body["results"] == []
    assert (await rep.get(f"{JOBS}?status=done")).status == 400
    assert (await rep.get(f"{JOBS}7/")).status == 404
    assert (await rep.get(f"{JOBS}{uuid4()}/")).status == 404


async def test_it_begins_with_the_command_for_its_first_step(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    id = await _job(rest, rep)
    (command,) = await rest.pool.fetch(
        "SELECT key, type, data->>'step' AS step FROM events WHERE topic = 'crm.commands'"
    )
    assert tuple(command) == (str(id), "job.step", "0")


async def test_ending_it(rest: Rest) -> None:
    rep, other = await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    id = await _job(rest, rep)
    assert (await other.post(f"{JOBS}{id}/cancel/", None)).status == 404
    assert (await rep.post(f"{JOBS}{id}/cancel/", None)).body["status"] == "cancelled"
    again = await rep.post(f"{JOBS}{id}/cancel/", None)
    assert (again.status, again.body) == (409, {"detail": "This job is cancelled already."})


async def test_going_on_with_it(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    id = await _job(rest, rep, status="failed", step=2)
    assert (await rep.post(f"{JOBS}{id}/resume/", None)).body["status"] == "running"
    steps = await rest.pool.fetch("SELECT data->>'step' AS step FROM events WHERE topic = 'crm.commands' ORDER BY id")
    assert [row["step"] for row in steps] == ["0", "2"]
    assert (await rep.post(f"{JOBS}{id}/resume/", None)).status == 409
