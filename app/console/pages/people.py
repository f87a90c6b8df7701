"""Users and API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.access.roles import Role, read_role
from app.console.visit import page
from app.errors import UsageError
from app.ids import KEY_NAME

if TYPE_CHECKING:
    from starlette.responses import Response

    from app.console.visit import Visit


@page(role=Role.MANAGE)
def people(visit: Visit) -> Response:
    return _page(visit)


def _page(visit: Visit, link: str = "", key: str = "") -> Response:
    context = visit.context
    return visit.page(
        "people.html",
        users=context.users.all(),
        keys=context.api_keys.all(),
        roles=list(Role),
        link=link,
        key=key,
        single_sign_on=context.single_sign_on,
        key_name=KEY_NAME,
    )


@page(role=Role.MANAGE)
def act(visit: Visit) -> Response:
    """Add or remove a user or key, or create another link. What is shown only once is shown in the answer itself."""
    context, name = visit.context, visit.text("name")
    now_ms = visit.resources.clock.now_ms()
    match visit.request.path_params["act"]:
        case "add-user":
            user = context.users.add(name, read_role(visit.text("role")), now_ms=now_ms)
            visit.note("user add", detail=f"{user.name} {user.role}")
            return _page(visit, link=_link(visit, user.name, user.role))
        case "link":
            found = context.users.get(name)
            if found is None:
                raise UsageError("There is no such user.")
            visit.note("user link", detail=name)
            return _page(visit, link=_link(visit, found.name, found.role))
        case "remove-user":
            if name == visit.actor.name:
                raise UsageError("You cannot remove yourself.", remedy="Somebody else with the role manage can.")
            context.users.remove(name)
            visit.note("user remove", detail=name)
            return visit.go("/people", f"{name} is removed.")
        case "add-key":
            role = read_role(visit.text("role"))
            key = context.api_keys.add(name, role, now_ms=now_ms)
            visit.note("api-key add", detail=f"{name} {role}")
            return _page(visit, key=key)
        case "revoke-key":
            context.api_keys.revoke(name)
            visit.note("api-key revoke", detail=name)
            return visit.go("/people", f"The key of {name} is no longer valid.")
    raise UsageError("There is no such action.")


def _link(visit: Visit, name: str, role: Role) -> str:
    return f"{visit.context.url}/link/{visit.context.sessions.make_link(name, role, asks_password=True)}"
