"""Routes calls, and checks what every call has to pass: availability, token, scope, body, faults."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import time

import orjson
from aiohttp import web

from app.sandbox import admin, readback
from app.sandbox.answers import Dropped, Refusal
from app.sandbox.faults import ELSEWHERE, suffer
from app.sandbox.ledger import NO_ANSWER
from app.sandbox.tenants import DEFAULT_TENANT, Call, Tenants
from app.sandbox.writing import write_contact

MOST_BODY_BYTES = 4 * 1024 * 1024
READ = frozenset({"list_and_subscribers_read"})
WRITE = frozenset({"list_and_subscribers_write"})
AUDIENCES = frozenset({"audiences_read"})
NONE: frozenset[str] = frozenset()
_TENANT = re.compile(r"/t/([A-Za-z0-9-]+)(?=/|$)")


@dataclass(slots=True, frozen=True)
class Route:
    """Where a call goes: its kind in the ledger and for faults, the scopes it needs, whether it carries JSON."""

    kind: str
    handle: Callable[[Call], Awaitable[web.StreamResponse]]
    scopes: frozenset[str] = NONE
    has_body: bool = False


async def _give_token(call: Call) -> web.StreamResponse:
    call.body = await call.request.read()
    fault = call.fault = call.tenant.faults.strike("token", None)
    if fault is not None:
        await suffer(fault)
    return call.tenant.tokens.give(call.body, call.request.content_type, call.tenant.settings, call.base_url)


CONTACTS = "/contacts/v1/contacts"
DEFINITIONS = "/contacts/v1/attributeSetDefinitions"
TOKEN = Route("token", _give_token)
EXACT: dict[tuple[str, str], Route] = {
    ("PATCH", CONTACTS): Route("contacts", write_contact, READ | WRITE, has_body=True),
    ("POST", CONTACTS): Route("contacts", write_contact, WRITE, has_body=True),
    ("POST", "/v2/token"): TOKEN,
    ("GET", "/v2/userinfo"): Route("context", readback.user_info),
    ("GET", "/platform/v1/tokenContext"): Route("context", readback.token_context),
    ("GET", "/platform/v1/endpoints"): Route("context", readback.endpoints),
    ("GET", DEFINITIONS): Route("definitions", readback.list_definitions, READ),
    ("GET", "/contacts/v1/schema"): Route("definitions", readback.schemas, READ),
    ("POST", "/contacts/v1/addresses/email/search"): Route("search", readback.search_email, READ, has_body=True),
    ("POST", "/contacts/v1/addresses/search/ContactKey"): Route(
        "search", readback.search_contact_key, AUDIENCES, has_body=True
    ),
    ("POST", "/contacts/v1/attributes/search"): Route("search", readback.search_attributes, READ, has_body=True),
    ("POST", "/contacts/v1/contacts/search"): Route("search", readback.search_attributes, READ, has_body=True),
    ("POST", f"{CONTACTS}/actions/delete"): Route("delete", readback.delete_contacts, WRITE, has_body=True),
    ("GET", f"{CONTACTS}/actions/delete/status"): Route("delete", readback.deletion_status, READ),
}
PATTERNS: tuple[tuple[re.Pattern[str], Route], ...] = (
    (re.compile(rf"GET {DEFINITIONS}/[^/]+", re.IGNORECASE), Route("definitions", readback.one_definition, READ)),
    (
        re.compile(r"GET /contacts/v1/schemas/[^/]+/attributeSetDefinitions/[^/]+", re.IGNORECASE),
        Route("definitions", readback.schema_definition, READ),
    ),
    (re.compile(r"GET /platform/v1/endpoints/[^/]+", re.IGNORECASE), Route("context", readback.endpoints)),
)


_FOLDED = {(method, path.lower()): route for (method, path), route in EXACT.items()}


def find_route(method: str, path: str) -> Route | None:
    """Return the route of a call, or None. Neither a path's case nor a trailing slash counts."""
    route = EXACT.get((method, path))
    if route is None:
        route = _FOLDED.get((method, path.lower().rstrip("/")))
    if route is None:
        route = next((one for pattern, one in PATTERNS if pattern.fullmatch(f"{method} {path.rstrip('/')}")), None)
    return route


class Sandbox:
    """Answers every request of every tenant."""

    def __init__(self, seed_attributes: int = 0) -> None:
        self._tenants = Tenants(seed_attributes)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        prefix, name = "", DEFAULT_TENANT
        if path.startswith("/t/") and (found := _TENANT.match(path)) is not None:
            prefix, name = found[0], found[1].lower()
            path = path[len(prefix) :]
        call = Call(request, self._tenants.named(name), prefix, path, query)
        if path.startswith(admin.PREFIX):
            return await admin.answer(call)
        return await _answer(call)


async def _answer(call: Call) -> web.StreamResponse:
    tenant, started = call.tenant, time()
    route = find_route(call.method, call.path)
    kind = route.kind if route is not None else "other"
    is_contact = kind == "contacts"
    status = 500
    if is_contact:
        tenant.ledger.contact_began()
    try:
        try:
            answer = await _carry_out(call, route)
        except Refusal as refusal:
            answer = refusal.answer()
            if call.fault is not None and call.fault.kind == "redirect":
                answer.headers["Location"] = ELSEWHERE
        status = answer.status
    except Dropped:
        status = NO_ANSWER
        if call.request.transport is not None:
            call.request.transport.abort()
        answer = web.Response(status=503)  # never arrives: the connection is gone
    finally:
        if is_contact:
            tenant.ledger.contact_ended(call.contact_key)
        tenant.ledger.add(
            route=kind,
            method=call.method,
            status=status,
            contact_key=call.contact_key,
            started=started,
            ended=time(),
            fault=call.fault.kind if call.fault is not None else None,
            stored=call.stored,
            accepted=call.accepted and status != NO_ANSWER,
            repeats=call.repeats,
            body=call.body if call.body and kind != "token" and tenant.settings.keep_ledger_bodies else None,
        )
    return answer


async def _carry_out(call: Call, route: Route | None) -> web.StreamResponse:
    tenant = call.tenant
    settings = tenant.settings
    if settings.refuse_connections:
        raise Dropped
    if settings.unavailable:
        raise Refusal(503, 50300, "The service is unavailable.", retry_after=settings.unavailable_retry_after_seconds)
    if route is None:
        if settings.unknown_path_status == 404:
            raise Refusal(404, 30003, "No resource exists at this path.")
        raise Refusal(596, None, "<html><body><h1>596 Service Not Found</h1></body></html>")
    if route is not TOKEN:
        call.token = tenant.tokens.check(call.request.headers.get("Authorization", ""), settings)
        if not route.scopes <= call.token.scopes:
            raise Refusal(403, 20002, "Insufficient privileges to carry out this call.")
        if route.has_body:
            await _read_json(call)
        if route.kind != "contacts":
            # a contact call meets its fault only after its key is known
            fault = call.fault = tenant.faults.strike(route.kind, None)
            if fault is not None:
                await suffer(fault)
    answer = await route.handle(call)
    if call.fault is not None and call.fault.kind == "cut_after":
        raise Dropped
    return answer


async def _read_json(call: Call) -> None:
    if call.request.content_type != "application/json":
        raise Refusal(415, 0, "Unsupported Media Type")
    call.body = await call.request.read()
    if len(call.body) > MOST_BODY_BYTES:
        raise Refusal(413, 0, "Request Entity Too Large")
    try:
        call.document = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        raise Refusal(400, 10004, "The message is not valid JSON.") from None
