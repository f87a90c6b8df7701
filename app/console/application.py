"""The console as an ASGI application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.console import api, login, oidc
from app.console.events import Watch, events
from app.console.headers import SafeHeaders
from app.console.operations import OPERATIONS
from app.console.pages import connect, contact, failures, overview, people, preview, records
from app.console.visit import NoSuchPage, Visit, page
from app.serving.body_time import BODY_TIME, BodyTime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from app.console.context import Context

BOTH = ["GET", "POST"]


async def _live(_: Request) -> Response:
    return PlainTextResponse("ok\n")


@page(role=None)
def _nowhere(_: Visit) -> Response:
    raise NoSuchPage


async def _not_found(request: Request, _: Exception) -> Response:
    path = request.url.path
    if path.startswith("/v1/"):
        return api.problem(404, "There is no such operation.", "`/openapi.json` names those there are.")
    if request.method != "GET" or path.startswith("/static/"):
        return PlainTextResponse("Not Found\n", 404)
    return await _nowhere(request)


@asynccontextmanager
async def _in_a_loop(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    yield {BODY_TIME: BodyTime()}


def make_application(context: Context) -> Starlette:
    routes = [
        Route("/livez", _live),
        Route("/login", login.login, methods=BOTH),
        Route("/logout", login.logout, methods=["POST"]),
        Route("/link/{token}", login.link, methods=BOTH),
        Route("/oidc/start", oidc.start),
        Route("/oidc/callback", oidc.callback),
        Route("/events", events),
        Route("/", overview.overview),
        Route("/destinations/{destination}", overview.destination),
        Route("/destinations/{destination}/failed/{failure}", failures.one, methods=BOTH),
        Route("/destinations/{destination}/failures/{act}/confirm", failures.confirm, methods=["POST"]),
        Route("/destinations/{destination}/failures/{act}", failures.act, methods=["POST"]),
        Route("/destinations/{destination}/disconnect", overview.disconnect, methods=BOTH),
        Route("/destinations/{destination}/{act}", overview.act, methods=["POST"]),
        Route("/failures", failures.failures),
        Route("/connect", connect.connect, methods=BOTH),
        Route("/connect/check", connect.check, methods=["POST"]),
        Route("/preview", preview.preview, methods=BOTH),
        Route("/contact", contact.contact, methods=BOTH),
        Route("/jobs", records.jobs),
        Route("/jobs/{job}", records.job),
        Route("/alerts", records.alerts),
        Route("/alerts/mute", records.mute_alert, methods=["POST"]),
        Route("/alerts/unmute", records.unmute_alert, methods=["POST"]),
        Route("/audit", records.audit),
        Route("/people", people.people),
        Route("/people/{act}", people.act, methods=["POST"]),
        *api.routes(OPERATIONS),
        Mount("/static", StaticFiles(directory=str(files("app.console") / "static"))),
    ]
    made = Starlette(
        routes=routes,
        middleware=[Middleware(SafeHeaders, secure=context.secure)],
        lifespan=_in_a_loop,
        exception_handlers={404: _not_found},
    )
    made.router.redirect_slashes = False  # a redirect would lead to whatever host the request names
    made.state.context = context
    made.state.watch = Watch(context)
    return made
