"""The JSON API: what the pages show and do, for programs with an API key. One table defines its routes and OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from app.access.roles import Actor, Role
from app.console.visit import LATE, Forbidden, length_of, status_of
from app.errors import ActivationError, UsageError
from app.reporting.audit import Act, note_act
from app.storage import explain

if TYPE_CHECKING:
    from app.console.context import Context
    from app.resources import Resources

MOST_BYTES = 10_000_000
TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "number": {"type": "integer"},
    "flag": {"type": "boolean"},
    "list": {"type": "array", "items": {}},
}


class Unauthorized(ActivationError):
    """The request has no API key, or an invalid one."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `given`: its query, path and body members, checked against the operation."""

    context: Context
    actor: Actor
    given: Mapping[str, Any]

    @property
    def resources(self) -> Resources:
        return self.context.resources

    @property
    def destination_id(self) -> str:
        return str(self.given["destination"])

    def note(self, what: str, destination: str = "", detail: str = "") -> None:
        note_act(self.resources.redis, self.resources.ring, Act(self.actor.name, what, destination, detail))


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `query`, `body`: names mapped to words of `TYPES`. `needed`: names that must be given."""

    method: str
    path: str
    role: Role
    summary: str
    answer: Callable[[Ask], Any]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)
    needed: tuple[str, ...] = ()


def routes(operations: list[Operation]) -> list[Route]:
    """Return a route for each operation, and one for the OpenAPI document."""
    document = orjson.dumps(openapi(operations), option=orjson.OPT_INDENT_2)

    async def describe(_: Request) -> Response:
        return Response(document, media_type="application/json")

    return [
        Route("/openapi.json", describe),
        *(Route(one.path, _endpoint(one), methods=[one.method]) for one in operations),
    ]


def _endpoint(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        raw = b""
        if operation.body:
            if length_of(request) > MOST_BYTES:
                return problem(413, f"The body has no length, or is longer than {MOST_BYTES:,} bytes.")
            if (refused := await run_in_threadpool(_refusal, operation, request)) is not None:
                return refused
            try:
                with request.state.body_time.limit():
                    raw = await request.body()
            except (TimeoutError, ClientDisconnect):
                return problem(408, LATE, headers={"connection": "close"})
        return await run_in_threadpool(_answer, operation, request, raw)

    return endpoint


def _answer(operation: Operation, request: Request, raw: bytes) -> Response:
    try:
        actor = _who(operation, request)
        found = operation.answer(Ask(request.app.state.context, actor, _given(operation, request, raw)))
        return Response(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS), media_type="application/json")
    except (RedisError, ActivationError) as error:
        return _told(error)


def _refusal(operation: Operation, request: Request) -> Response | None:
    """Return the answer to a request whose body need not be read, or strangers could fill the memory; None for any other."""
    try:
        _who(operation, request)
    except (RedisError, ActivationError) as error:
        return _told(error)
    return None


def _told(error: RedisError | ActivationError) -> Response:
    if isinstance(error, Unauthorized):
        return problem(401, str(error), error.remedy, headers={"www-authenticate": "Bearer"})
    if isinstance(error, ActivationError):
        return problem(status_of(error), str(error), error.remedy, getattr(error, "problems", ()))
    meant = explain(error)
    return problem(503, str(meant), meant.remedy)


def _who(operation: Operation, request: Request) -> Actor:
    """Return who makes the request. Raises: `Unauthorized`; `Forbidden`."""
    context: Context = request.app.state.context
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    actor = context.api_keys.find(key.strip()) if scheme.lower() == "bearer" else None
    if actor is None:
        raise Unauthorized(
            "A valid API key is needed, as `Authorization: Bearer KEY`.",
            remedy="`activation api-key add NAME --role ROLE` makes one.",
        )
    if not actor.role.covers(operation.role):
        raise Forbidden(operation.role)
    return actor


def _given(operation: Operation, request: Request, raw: bytes) -> dict[str, Any]:
    """Return the request's values. Raises: `UsageError` with each problem, quoting no value."""
    given: dict[str, Any] = {}
    problems = []
    for name, kind in operation.query.items():
        text = request.query_params.get(name)
        if text is None:
            continue
        given[name] = text
        if kind == "number":
            if text.isascii() and text.isdigit() and len(text) < 16:
                given[name] = int(text)
            else:
                problems.append(f"{name}: must be a whole number.")
    if operation.body:
        try:
            document = orjson.loads(raw or b"{}")
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise UsageError("The body is not a JSON object.")
        problems += [f"{name}: is unknown here." for name in document if name not in operation.body]
        for name, kind in operation.body.items():
            if name not in document:
                continue
            if not _fits(document[name], kind):
                problems.append(f"{name}: must be a {kind}.")
            given[name] = document[name]
    problems += [f"{name}: is missing." for name in operation.needed if name not in given]
    if problems:
        raise UsageError("The request has problems.", problems=tuple(problems))
    return given | request.path_params


def _fits(value: Any, kind: str) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int) and not isinstance(value, bool)
        case "flag":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
    return True


def problem(
    status: int, text: str, remedy: str = "", problems: tuple[str, ...] = (), headers: Mapping[str, str] | None = None
) -> Response:
    document = {
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": text,
        "remedy": remedy,
        "problems": problems,
    }
    return Response(orjson.dumps(document), status, headers=headers, media_type="application/problem+json")


def openapi(operations: list[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        parameters = [
            {"name": part.strip("{}"), "in": "path", "required": True, "schema": {"type": "string"}}
            for part in one.path.split("/")
            if part.startswith("{")
        ]
        parameters += [
            {"name": name, "in": "query", "required": name in one.needed, "schema": TYPES[kind]}
            for name, kind in one.query.items()
        ]
        described: dict[str, Any] = {
            "summary": one.summary,
            "description": f"Needs the role `{one.role}`.",
            "operationId": one.answer.__name__,
            "parameters": parameters,
            "responses": {
                "200": {"description": "Done", "content": {"application/json": {"schema": {}}}},
                "default": {
                    "description": "Not done: what is wrong, and what to do",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                },
            },
        }
        if one.body:
            schema = {
                "type": "object",
                "properties": {name: TYPES[kind] for name, kind in one.body.items()},
                "additionalProperties": False,
                **({"required": list(one.needed)} if one.needed else {}),
            }
            described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths.setdefault(one.path, {})[one.method.lower()] = described
    problem = dict.fromkeys(("title", "detail", "remedy"), TYPES["text"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Activation console", "version": "1"},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Problem": {
                    "type": "object",
                    "properties": {
                        **problem,
                        "status": TYPES["number"],
                        "problems": {"type": "array", "items": TYPES["text"]},
                    },
                }
            },
        },
    }
