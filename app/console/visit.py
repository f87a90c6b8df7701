"""One request to a page: who asks, with what form, and how the answer is made.

A page is a plain function `(Visit) -> Response`. It may block on Redis or Marketing Cloud, so it runs in a thread. Signing
in, roles, the CSRF token and the errors of `app.errors` are handled here, once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.access.roles import Role
from app.access.sessions import same
from app.access.turns import TooBusy
from app.console.origin import is_foreign
from app.console.single_sign_on import SignOnRefused
from app.errors import (
    ActivationError,
    CallError,
    ServiceUnreachable,
    UnknownDestination,
    UsageError,
    WorkHasProblems,
)
from app.reporting.audit import Act, note_act
from app.serving.body_time import BODY_SECONDS
from app.storage import explain

if TYPE_CHECKING:
    from starlette.requests import Request

    from app.access.roles import Actor
    from app.access.sessions import Session
    from app.console.context import Context
    from app.resources import Resources

MOST_BYTES = 2_000_000  # of a form
MOST_BYTES_OF_ANYBODY = 16_000  # those who have not signed in send a name and a password
LATE = f"The body did not come within {BODY_SECONDS:g} s."
COOKIE = "activation_session"
DONE = "activation_done"

View = Callable[["Visit"], Response]


class Forbidden(ActivationError):
    """The role does not permit this."""

    def __init__(self, needed: Role) -> None:
        super().__init__(
            f"This needs the role {needed}.", remedy="Ask somebody who may manage: `activation user add NAME --role`."
        )


class StaleForm(ActivationError):
    """A form without this session's token: made elsewhere, or for a session that has ended."""

    def __init__(self) -> None:
        super().__init__(
            "This form does not belong to your current session.", remedy="Go back, reload the page, and try again."
        )


class ForeignForm(ActivationError):
    """A form sent from a page elsewhere."""

    def __init__(self) -> None:
        super().__init__(
            "This form comes from another page.",
            remedy="Open the console and try again there; behind a proxy, at the address that ACTIVATION_CONSOLE_URL names.",
        )


class NoSuchPage(ActivationError):
    """An address that leads nowhere."""

    def __init__(self) -> None:
        super().__init__("There is no such page.", remedy="The address may be mistyped, or of another version.")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. `form`: empty for a GET."""

    request: Request
    context: Context
    session: Session | None
    form: FormData = field(default_factory=FormData)

    @property
    def resources(self) -> Resources:
        return self.context.resources

    @property
    def actor(self) -> Actor:
        assert self.session is not None
        return self.session.actor

    @property
    def destination_id(self) -> str:
        return str(self.request.path_params["destination"])

    def text(self, name: str) -> str:
        """Return a field of the form or query without surrounding space; '' if absent."""
        value = self.form.get(name, self.request.query_params.get(name, ""))
        return value.strip() if isinstance(value, str) else ""

    def may(self, role: str) -> bool:
        return self.session is not None and self.session.actor.role.covers(Role(role))

    def demand(self, role: Role) -> None:
        """Require a role. Raises: `Forbidden`."""
        if not self.may(role):
            raise Forbidden(role)

    def note(self, what: str, destination: str = "", detail: str = "") -> None:
        """Add an entry to the audit."""
        note_act(self.resources.redis, self.resources.ring, Act(self.actor.name, what, destination, detail))

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page rendered from its template."""
        done = unquote(self.request.cookies.get(DONE, ""))
        html = self.context.templates.get_template(template).render(
            visit=self, session=self.session, path=self.request.url.path, done=done, **values
        )
        answer = HTMLResponse(html, status)
        if done:
            answer.delete_cookie(DONE, path="/")
        return answer

    def go(self, path: str, done: str = "") -> Response:
        """Redirect to another page; `done` is a sentence to show there."""
        answer = RedirectResponse(path, 303)
        if done:
            answer.set_cookie(DONE, quote(done), max_age=60, httponly=True, samesite="lax", secure=self.context.secure)
        return answer


def page(*, role: Role | None = Role.VIEW) -> Callable[[View], Callable[[Request], Awaitable[Response]]]:
    """Turn a view into an endpoint. `role`: None also admits those who have not signed in."""

    def decorate(view: View) -> Callable[[Request], Awaitable[Response]]:
        @wraps(view)
        async def endpoint(request: Request) -> Response:
            form = FormData()
            if request.method == "POST":
                if length_of(request) > (MOST_BYTES_OF_ANYBODY if role is None else MOST_BYTES):
                    return Response("The form is too large.\n", 413, media_type="text/plain")
                if role is not None and (refused := await run_in_threadpool(_refusal, request)) is not None:
                    return refused
                try:
                    with request.state.body_time.limit():
                        form = await request.form(max_files=1, max_fields=20_000, max_part_size=MOST_BYTES)
                except (TimeoutError, ClientDisconnect):  # a client that is gone reads no answer
                    return Response(f"{LATE}\n", 408, {"connection": "close"}, media_type="text/plain")
                form = await _read_files(form)
            return await run_in_threadpool(_answer, view, role, request, form)

        return endpoint

    return decorate


def length_of(request: Request) -> float:
    """Return the body's length in bytes; infinity if it comes in chunks of unknown total."""
    if "transfer-encoding" in request.headers:
        return float("inf")
    return int(request.headers.get("content-length") or 0)


async def _read_files(form: FormData) -> FormData:
    """Replace a form's files by their text."""
    read: list[tuple[str, str | UploadFile]] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            read.append((name, (await value.read()).decode(errors="replace")))
        else:
            read.append((name, value))
    return FormData(read)


def _refusal(request: Request) -> Response | None:
    """Return the answer to a form that need not be read, or strangers could fill the memory; None for any other."""
    context: Context = request.app.state.context
    visit = Visit(request, context, None)
    try:
        if _is_foreign(request, context):
            raise ForeignForm
        return None if find_session(context, request, extend=False) else _to_sign_in(request)
    except RedisError as error:
        return complaint(visit, explain(error))
    except ActivationError as error:
        return complaint(visit, error)


def _to_sign_in(request: Request) -> Response:
    return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)


def _answer(view: View, role: Role | None, request: Request, form: FormData) -> Response:
    context: Context = request.app.state.context
    visit = Visit(request, context, None, form)
    try:
        if request.method == "POST" and _is_foreign(request, context):
            raise ForeignForm
        visit = Visit(request, context, find_session(context, request), form)
        if role is not None and visit.session is None:
            return _to_sign_in(request)
        if request.method == "POST" and visit.session is not None and not same(visit.text("csrf"), visit.session.csrf):
            raise StaleForm
        if role is not None:
            visit.demand(role)
        return view(visit)
    except RedisError as error:
        return complaint(visit, explain(error))
    except ActivationError as error:
        return complaint(visit, error)


def _is_foreign(request: Request, context: Context) -> bool:
    site, origin, host = (request.headers.get(name, "") for name in ("sec-fetch-site", "origin", "host"))
    return is_foreign(site=site, origin=origin, host=host, url=context.url)


def find_session(context: Context, request: Request, *, extend: bool = True) -> Session | None:
    token = request.cookies.get(COOKIE)
    return None if not token else context.sessions.find(token, now_ms=context.resources.clock.now_ms(), extend=extend)


def complaint(visit: Visit, error: ActivationError) -> Response:
    """Return the page for an expected failure."""
    remedy, problems = error.remedy, getattr(error, "problems", ())
    answer = visit.page("error.html", status=status_of(error), text=str(error), remedy=remedy, problems=problems)
    if isinstance(error, TooBusy):
        answer.headers["retry-after"] = str(error.RETRY_AFTER_SECONDS)
    return answer


def status_of(error: ActivationError) -> int:
    """Return the HTTP status for an error of ours."""
    match error:
        case Forbidden() | StaleForm() | ForeignForm():
            return 403
        case UnknownDestination() | NoSuchPage():
            return 404
        case TooBusy():
            return 429
        case ServiceUnreachable():
            return 503
        case SignOnRefused():
            return 403
        case CallError():
            return 502
        case UsageError():
            return 400
        case WorkHasProblems():
            return 409
    return 500
