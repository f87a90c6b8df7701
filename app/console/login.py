"""Signing in and out: by password, one-time link, or single sign-on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.access.roles import Actor, Role
from app.access.sessions import Pace
from app.access.turns import TooBusy
from app.access.users import SHORTEST_PASSWORD
from app.console.client_address import client_address
from app.console.visit import COOKIE, Visit, page
from app.errors import UsageError
from app.reporting.audit import Act, note_act, note_refusal

if TYPE_CHECKING:
    from starlette.responses import Response

    from app.access.users import User

SLOW_SECONDS = 1.0  # per try, for an address that has tried often
_TOO_OFTEN = "Too many tries. Wait five minutes and try again."


def _next(visit: Visit) -> str:
    """Return where to go after signing in: a path of ours, never another host."""
    path = visit.text("next")
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path else "/"


def _address(visit: Visit) -> str:
    peer = visit.request.client.host if visit.request.client else ""
    return client_address(peer, ",".join(visit.request.headers.getlist("x-forwarded-for")), visit.context.proxies)


def sign_in(visit: Visit, actor: Actor, how: str, *, user: User | None = None, to: str = "/") -> Response:
    """Begin a new session, replacing any old one."""
    context = visit.context
    if old := visit.request.cookies.get(COOKIE):
        context.sessions.end(old)
    token = context.sessions.begin(actor, now_ms=context.resources.clock.now_ms(), user=user)
    note_act(context.resources.redis, context.resources.ring, Act(actor.name, "sign in", detail=how))
    answer = visit.go(to)
    # no max_age: it ends with the browser, and the server ends it in any case
    answer.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=context.secure, path="/")
    return answer


def _note_refusal(visit: Visit, why: str) -> None:
    note_refusal(visit.resources.redis, visit.resources.ring, Act("?", "sign in refused", detail=why))


@page(role=None)
def login(visit: Visit) -> Response:
    """GET shows the form, POST signs in."""
    if visit.request.method == "GET":
        if visit.session is not None:
            return visit.go(_next(visit))
        return _form(visit)
    name, password = visit.text("name"), visit.form.get("password", "")
    sessions, whose = visit.context.sessions, (name, _address(visit))
    pace = sessions.count_try(*whose)
    if pace is Pace.REFUSED:
        _note_refusal(visit, "too many tries")
        return _form(visit, _TOO_OFTEN, 429)
    try:
        if pace is Pace.SLOW:
            with visit.context.slow_tries.one():
                time.sleep(SLOW_SECONDS)
        user = visit.context.users.verify(name, password if isinstance(password, str) else "")
    except TooBusy:
        sessions.take_back_try(*whose)  # no password was checked
        raise
    if user is None:
        _note_refusal(visit, "wrong name or password")
        return _form(visit, "The name or the password is wrong.", 403)
    sessions.forget_tries(*whose)
    return sign_in(visit, Actor(user.name, user.role), "password", user=user, to=_next(visit))


def _form(visit: Visit, problem: str = "", status: int = 200) -> Response:
    return visit.page(
        "login.html", status=status, problem=problem, next=_next(visit), single_sign_on=visit.context.single_sign_on
    )


@page(role=None)
def link(visit: Visit) -> Response:
    """GET shows whom the link signs in, POST does it; so a program that merely fetches links uses none up."""
    token = str(visit.request.path_params["token"])
    found = visit.context.sessions.read_link(token, use=False)
    if found is None:
        return _link_is_gone(visit)
    actor, asks_password = found
    if visit.request.method == "GET":
        return visit.page("link.html", actor=actor, asks_password=asks_password, problem="", shortest=SHORTEST_PASSWORD)
    password = str(visit.form.get("password", ""))
    if asks_password:
        try:
            visit.context.users.check_password(actor.name, password, again=str(visit.form.get("again", "")))
        except UsageError as error:
            problem = f"{error} {error.remedy}"
            return visit.page(
                "link.html", status=400, actor=actor, asks_password=True, problem=problem, shortest=SHORTEST_PASSWORD
            )

    def use() -> None:
        if visit.context.sessions.read_link(token, use=True) is None:
            raise _LinkIsGone

    try:
        if not asks_password:
            use()
            return sign_in(visit, actor, "one-time link")
        # the link is used up just before hashing: if hashing has to wait too long, the link stays valid
        user = visit.context.users.choose_password(actor.name, password, before=use)
    except _LinkIsGone:
        return _link_is_gone(visit)
    return sign_in(visit, Actor(user.name, user.role), "one-time link", user=user)


class _LinkIsGone(Exception):
    """Another request has used the link."""


def _link_is_gone(visit: Visit) -> Response:
    return visit.page(
        "error.html",
        status=410,
        text="This link was used already, or is too old.",
        problems=(),
        remedy="`activation user link NAME` prints another one; without a name, one for whoever runs this installation.",
    )


@page(role=Role.VIEW)
def logout(visit: Visit) -> Response:
    visit.context.sessions.end(visit.request.cookies.get(COOKIE, ""))
    visit.note("sign out")
    answer = visit.go("/login")
    answer.delete_cookie(COOKIE, path="/")
    return answer
