"""The other routes: access tokens, health, metrics, and the description of the interface."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app.errors import RequestRefused
from app.intake.credentials import read_token_request
from app.intake.metrics import intake_metrics
from app.intake.openapi import DOCUMENT
from app.intake.problems import RETRY_AFTER_SECONDS, problem, unavailable
from app.intake.register import TOKEN_LIFE_SECONDS
from app.reporting.room import find_refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric
    from redis import Redis
    from starlette.requests import Request

    from app.intake.admission import Admission
    from app.intake.housekeeping import Housekeeping
    from app.serving.body_time import BodyTime

MOST_FORM_BYTES = 16_000
GRANTS = ("client_credentials", "password")


class Pages:
    """The endpoints of one process."""

    def __init__(self, redis: Redis, admission: Admission, housekeeping: Housekeeping, body_time: BodyTime) -> None:
        self._redis = redis
        self._admission = admission
        self._body_time = body_time
        self._housekeeping = housekeeping
        self._registry = CollectorRegistry()
        self._registry.register(_IntakeCollector(redis))

    async def token(self, request: Request) -> Response:
        """Answer `POST /oauth/token` (RFC 6749): client credentials (in the form or by Basic) and the password grant."""
        body = bytearray()
        try:
            with self._body_time.limit():
                async for part in request.stream():
                    body += part
                    if len(body) > MOST_FORM_BYTES:
                        return _oauth_error(HTTPStatus.BAD_REQUEST, "invalid_request")
        except TimeoutError:
            stopping = self._body_time.stopping
            late = _come_again() if stopping else _oauth_error(HTTPStatus.REQUEST_TIMEOUT, "invalid_request")
            late.headers["connection"] = "close"
            return late
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # to nobody
        asked = read_token_request(bytes(body), request.headers.get("authorization", "").encode("latin-1"))
        register = self._admission.register
        source = register.of_client(asked.clients)
        if source is None and asked.clients:
            try:
                await self._admission.look_again()
            except RequestRefused:
                return _come_again()
            source = register.of_client(asked.clients)
            if source is None and register.has_locked(asked.clients):
                return _come_again()
        if source is None:
            error = _oauth_error(HTTPStatus.UNAUTHORIZED, "invalid_client")
            error.headers["www-authenticate"] = 'Basic realm="activation"'
            return error
        if asked.grant_type not in GRANTS:
            return _oauth_error(
                HTTPStatus.BAD_REQUEST, "unsupported_grant_type" if asked.grant_type else "invalid_request"
            )
        if asked.grant_type == "password":
            user = register.of_client([asked.user] if asked.user else [])
            if user is None or user.name != source.name:
                return _oauth_error(HTTPStatus.BAD_REQUEST, "invalid_grant")
        token = register.make_token(source)
        return _json(HTTPStatus.OK, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE_SECONDS})

    async def livez(self, _: Request) -> Response:
        return _json(HTTPStatus.OK, {"status": "alive"})

    async def readyz(self, _: Request) -> Response:
        refused = await self._why_not_ready()
        return _json(HTTPStatus.OK, {"status": "ready"}) if refused is None else refusal(refused)

    async def _why_not_ready(self) -> RequestRefused | None:
        if self._housekeeping.ready:
            try:
                refused = await asyncio.to_thread(find_refusal, self._redis)
            except RedisError:
                pass
            else:
                return None if refused is None else unavailable(f"{refused} {refused.remedy}", "storage")
        return unavailable("Redis does not answer, or the intake is starting or stopping.", "not_ready")

    async def metrics(self, _: Request) -> Response:
        try:
            text = await asyncio.to_thread(generate_latest, self._registry)
        except RedisError:
            return refusal(unavailable("Redis does not answer; the counts rest there.", "storage"))
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _: Request) -> Response:
        return _json(HTTPStatus.OK, DOCUMENT)


class _IntakeCollector(Collector):
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def describe(self) -> Iterable[Metric]:
        return ()  # called at registration, when Redis may be away

    def collect(self) -> Iterable[Metric]:
        return intake_metrics(self._redis)


def refusal(refused: RequestRefused) -> Response:
    status, body, headers = problem(refused)
    return Response(body, status, headers={name.decode(): value.decode() for name, value in headers})


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer wrong paths and methods."""
    assert isinstance(error, HTTPException)
    code = {404: "no_such_path", 405: "wrong_method"}.get(error.status_code, "refused")
    response = refusal(RequestRefused(f"{error.detail}.", status=error.status_code, code=code))
    response.headers.update(error.headers or {})
    return response


async def on_error(_: Request, error: Exception) -> Response:  # noqa: ARG001  # the server logs it
    """Answer a fault of ours with 503, so that the sender tries again: it can fix nothing."""
    return refusal(unavailable("The intake failed; its log tells more.", "fault"))


def _json(status: int, document: Any) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(orjson.dumps(document), status, headers=headers, media_type="application/json")


def _come_again() -> Response:
    error = _oauth_error(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable")
    error.headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return error


def _oauth_error(status: int, error: str) -> Response:
    return _json(status, {"error": error})
