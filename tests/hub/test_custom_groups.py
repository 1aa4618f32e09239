"""Groups of custom fields, and who sees what is in them."""

from __future__ import annotations

from models.access import Role
from tests.hub.rest import Rest
from tests.hub.test_custom_fields import FIELDS, defined

GROUPS = "/api/v1/custom-field-groups/"


async def test_a_group_and_its_fields(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    a, b, secret = [
        (await defined(admin, name, visible_to_roles=roles))["id"]
        for name, roles in (("a", []), ("b", []), ("secret", ["marketing"]))
    ]
    body = {"name": "Money", "content_type": "lead", "fields": [b, secret, a]}
    group = (await admin.post(GROUPS, body, key="once")).body
    assert (await admin.post(GROUPS, body, key="once")).body == group
    assert (group["fields"], group["content_type"], group["model_name"]) == ([b, secret, a], 3, "lead")
    assert (group["is_collapsible"], group["is_collapsed_by_default"]) == (True, False)
    one = f"{GROUPS}{group['id']}/"
    assert (await rep.get(one)).body["fields"] == [b, a]
    manager = await rest.user(Role.MANAGER)
    assert (await manager.patch(one, {"fields": [a]})).body["fields"] == [a]
    assert set((await admin.get(one)).body["fields"]) == {a, secret}
    for wrong in ([a, a], [99], [secret], "a", [str(a)], [True]):
        answer = await manager.patch(one, {"fields": wrong})
        assert (answer.status, list(answer.body)) == (400, ["fields"]), wrong
    assert (await manager.patch(one, {"content_type": "task"})).status == 400
    renamed = await manager.put(one, {"name": "Cash", "content_type": 3, "order": 4})
    assert (renamed.status, renamed.body["name"], renamed.body["fields"]) == (200, "Cash", [a])
    assert (await rep.patch(one, {"name": "x"})).status == 403
    assert (await rep.post(GROUPS, body)).status == 403
    assert (await rep.get(GROUPS + "?content_type=lead")).body["count"] == 1
    assert (await rep.get(GROUPS + "?content_type=task")).body["count"] == 0
    assert (await rep.delete(one)).status == 403
    assert (await admin.delete(one)).status == 204
    assert (await admin.get(one)).status == 404
    assert (await admin.get(FIELDS)).body["count"] == 3
