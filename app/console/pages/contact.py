"""One contact, by key: what was delivered when, what waits, what failed. The key is sent in a form, never in an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.access.roles import Role
from app.console.visit import page
from app.errors import CallError, UsageError
from app.reporting.contact import account_copy, read_contact

if TYPE_CHECKING:
    from starlette.responses import Response

    from app.console.visit import Visit


@page()
def contact(visit: Visit) -> Response:
    ids = visit.resources.destinations.ids()
    chosen, key = visit.text("destination") or (ids[0] if ids else ""), visit.text("key")
    if visit.request.method == "GET" or not key:
        return visit.page(
            "contact.html", ids=ids, chosen=chosen, key="", found=None, copy=None, asked=False, problem=""
        )
    found = read_contact(visit.resources, chosen, key)
    copy, problem, asked = None, "", visit.text("account") == "yes"
    if asked:
        visit.demand(Role.MANAGE)
        visit.note("read contact of account", chosen, f"contact {found.tag}")
        try:
            copy = account_copy(visit.resources, chosen, key)
        except (CallError, UsageError) as error:
            problem = f"{error} {error.remedy}"
    else:
        visit.note("look up contact", chosen, f"contact {found.tag}")
    return visit.page(
        "contact.html", ids=ids, chosen=chosen, key=key, found=found, copy=copy, asked=asked, problem=problem
    )
