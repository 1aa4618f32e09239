"""Creating requests repeated under one key: done once, answered alike."""

from __future__ import annotations

import asyncio

from hub import expiry
from models.access import Role
from tests.hub.rest import CONTACT, LEAD, Rest

LEADS = "/api/v1/leads/"


async def test_a_repeat_gets_the_first_answer(rest: Rest) -> None:
    admin = await rest.user()
    first = await admin.post(LEADS, LEAD, key="k")
    changed = await admin.patch(f"{LEADS}{first.body['id']}/", {"status": "lost"})
    again = await admin.post("/api/v1/leads", LEAD, key="k")
    assert changed.status == 200
    assert (again.status, again.body) == (201, first.body)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await admin.get(LEADS)).body["count"] == 1


async def test_another_body_is_refused(rest: Rest) -> None:
    admin = await rest.user()
    await admin.post(LEADS, LEAD, key="k")
    answer = await admin.post(LEADS, {**LEAD, "phone": "1"}, key="k")
    assert (answer.status, answer.body) == (422, {"detail": "This Idempotency-Key was used with another body."})
    assert (await admin.get(LEADS)).body["count"] == 1


async def test_a_key_belongs_to_its_user_and_path(rest: Rest) -> None:
    admin, other = await rest.user(), await rest.user()
    for answer in (
        await admin.post(LEADS, LEAD, key="k"),
        await other.post(LEADS, LEAD, key="k"),
        await admin.post("/api/v1/contacts/", CONTACT, key="k"),
    ):
        assert answer.status == 201
        assert "Idempotency-Replayed" not in answer.headers


async def test_only_one_of_many_at_once_does_the_work(rest: Rest) -> None:
    admin = await rest.user()
    answers = await asyncio.gather(*(admin.post(LEADS, LEAD, key="k") for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert (await admin.get(LEADS)).body["count"] == 1


async def test_a_repeat_goes_on_when_the_first_rolls_back(rest: Rest) -> None:
    admin = await rest.user()
    async with rest.pool.acquire() as connection:
        blocker = connection.transaction()
        await blocker.start()
        await connection.execute("LOCK TABLE crm_contacts IN EXCLUSIVE MODE")
        calls = [asyncio.ensure_future(admin.post("/api/v1/contacts/", CONTACT, key="k")) for _ in range(2)]
        await rest.blocked(2)
        # Whichever is first fails on this contact; the other takes the key over and fails too, on its own account.
        await connection.execute(
            "INSERT INTO crm_contacts (first_name, last_name, email) VALUES ('x', 'y', $1)", CONTACT["email"]
        )
        await blocker.commit()
    assert {answer.status for answer in await asyncio.gather(*calls)} == {400}
    await rest.pool.execute("DELETE FROM crm_contacts")
    assert (await admin.post("/api/v1/contacts/", CONTACT, key="k")).status == 201


async def test_a_refused_request_leaves_its_key_free(rest: Rest) -> None:
    admin = await rest.user()
    assert (await admin.post(LEADS, {**LEAD, "assigned_to": 10**6}, key="k")).status == 400
    assert (await admin.post(LEADS, LEAD, key="k")).status == 201


async def test_who_lost_access_does_not_get_the_answer(rest: Rest) -> None:
    rep, other = await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    lead = (await rep.post(LEADS, LEAD, key="k")).body["id"]
    await rest.pool.execute("UPDATE crm_leads SET owner_id = $1, assigned_to_id = $1 WHERE id = $2", other.id, lead)
    assert (await rep.post(LEADS, LEAD, key="k")).status == 403
    await rest.pool.execute("UPDATE crm_leads SET assigned_to_id = $1", rep.id)
    assert (await rep.post(LEADS, LEAD, key="k")).status == 201
    await rest.pool.execute("UPDATE crm_users SET role = 'viewer' WHERE id = $1", rep.id)
    assert (await rep.post(LEADS, LEAD, key="k")).status == 403


async def test_a_key_is_forgotten_after_a_day(rest: Rest) -> None:
    admin = await rest.user()
    first = (await admin.post(LEADS, LEAD, key="k")).body["id"]
    await admin.post(LEADS, LEAD, key="young")
    await rest.pool.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'k'")
    second = await admin.post(LEADS, {**LEAD, "phone": "1"}, key="k")
    assert (second.status, second.body["id"] == first) == (201, False)
    await rest.pool.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'k'")
    await expiry.remove_expired(rest.pool)
    assert [row["key"] for row in await rest.pool.fetch("SELECT key FROM idempotency_keys")] == ["young"]


async def test_a_bad_key_is_refused(rest: Rest) -> None:
    admin = await rest.user()
    for key in ("a b", "x" * 256, "\u00e9"):
        answer = await admin.post(LEADS, LEAD, key=key)
        assert (answer.status, list(answer.body)) == (400, ["Idempotency-Key"])
    assert (await admin.get(LEADS)).body["count"] == 0
