"""Answers: JSON, and errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import RequestRefused

if TYPE_CHECKING:
    from starlette.types import Send

RETRY_AFTER_SECONDS = 15


def unavailable(text: str, code: str, *, retry_after_seconds: int = RETRY_AFTER_SECONDS) -> RequestRefused:
    """Return a 503: not the sender's fault, and the same request may succeed later."""
    return RequestRefused(text, status=503, code=code, retry_after_seconds=retry_after_seconds)


def problem(refused: RequestRefused) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Return status, body and headers of a refusal."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(refused.status).phrase,
        "status": refused.status,
        "detail": f"{refused} {refused.remedy}".strip(),
        "code": refused.code,
    }
    headers = [(b"content-type", b"application/problem+json")]
    if refused.retry_after_seconds is not None:
        headers.append((b"retry-after", str(refused.retry_after_seconds).encode()))
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="activation"'))
    if refused.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers.append((b"accept-encoding", b"gzip, deflate, identity"))
    return refused.status, orjson.dumps(document), headers


async def answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send a complete answer."""
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
