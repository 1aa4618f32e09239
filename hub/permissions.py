"""What each role may do, by names a client can look for. They are read off the access rules, never kept beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from aiohttp import web

from hub import pages
from hub.errors import NotFound
from hub.requests import VIEWER
from hub.responses import respond
from models.access import Action, Role, Viewer, may


@dataclass(frozen=True, kw_only=True)
class Permission:
    """One thing that some roles may do, to some records at least."""

    id: int
    name: str
    codename: str
    description: str
    module: str


#: What the original calls a kind of record, and what the access rules call it.
MODULES = {
    "leads": "lead",
    "contacts": "contact",
    "deals": "opportunity",
    "tasks": "task",
    "campaigns": "campaign",
    "users": "user",
}
VERBS = {"view": Action.READ, "create": Action.CREATE, "edit": Action.UPDATE, "delete": Action.DELETE}

#: What is no kind of record: codename, what it allows, and who may.
OTHERS: dict[str, tuple[str, Callable[[Role], bool]]] = {
    "assign_roles": ("Give users their roles", lambda role: role is Role.ADMIN),
    "view_team": ("See everybody's account", lambda role: role in (Role.ADMIN, Role.MANAGER)),
    "view_audit_log": ("Read what was done with every account", lambda role: role is Role.ADMIN),
    "publish": ("Publish messages to channels", lambda role: role in (Role.ADMIN, Role.MANAGER)),
}


def _all() -> Iterator[tuple[Permission, Callable[[Role], bool]]]:
    id = 0
    for module, entity in MODULES.items():
        for verb, action in VERBS.items():
            id += 1
            name = f"{verb.capitalize()} {module}"
            codename = f"{verb}_{module}"
            one = Permission(id=id, name=name, codename=codename, description=f"{name}.", module=module)
            yield one, partial(_may, action, entity)
    for codename, (name, holds) in OTHERS.items():
        id += 1
        yield Permission(id=id, name=name, codename=codename, description=f"{name}.", module="system"), holds


def _may(action: Action, entity: str, role: Role) -> bool:
    return may(Viewer(id=0, role=role), action, entity, None)


PERMISSIONS = tuple(_all())


def granted(role: Role) -> list[str]:
    """The codenames of what a role may do."""
    return [permission.codename for permission, holds in PERMISSIONS if holds(role)]


async def index(request: web.Request) -> web.Response:
    """Every permission there is."""
    return _page(request, [asdict(permission) for permission, _ in PERMISSIONS])


async def of_roles(request: web.Request) -> web.Response:
    """Who may do what: those of one's own role, of every role for whoever gives roles."""
    viewer = request[VIEWER]
    roles = list(Role) if viewer.role is Role.ADMIN else [viewer.role]
    rows = [{"role": role, "permission": asdict(one)} for role in roles for one, holds in PERMISSIONS if holds(role)]
    return _page(request, rows)


def _page(request: web.Request, rows: list[dict[str, Any]]) -> web.Response:
    """One page of a list that is there as a whole."""
    given = pages.query(request)
    pages.allowed(given, (pages.PAGE, pages.PAGE_SIZE))
    number, size = pages.number(given), pages.size(given)
    shown, more = rows[(number - 1) * size : number * size], len(rows) > number * size
    if not shown:
        raise NotFound("Invalid page.")
    return respond(
        {
            "count": len(rows),
            "next": str(request.url.update_query({pages.PAGE: number + 1})) if more else None,
            "previous": str(request.url.update_query({pages.PAGE: number - 1})) if number > 1 else None,
            "results": shown,
        }
    )
