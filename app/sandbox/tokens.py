"""Sign-in: the token route, bearer checks and the scopes they carry."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from app.sandbox.answers import Refusal, json_answer
from app.sandbox.settings import TenantSettings

MEMBER_ID = 510001
BLOCKED = "Your requests are temporarily blocked."
UNKNOWN_CLIENT = "Invalid client ID. Use the client ID in Marketing Cloud Installed Packages."
FAILED_CLIENT = (
    "Client authentication failed. Make sure that the client ID and client secret are valid and that the package is "
    "installed and enabled."
)
REFUSED_IP = (
    "The client's IP address is unauthorized for this account. "
    "Allowlist the client's IP address in Marketing Cloud Administration."
)
FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True, frozen=True)
class Token:
    """A token that was granted: when (monotonic seconds), its scopes and its business unit."""

    issued: float
    scopes: frozenset[str]
    account_id: str


class Tokens:
    """The tokens of a tenant. A new one does not invalidate older ones."""

    __slots__ = ("_given", "_requests")

    def __init__(self) -> None:
        self._given: dict[str, Token] = {}
        self._requests: deque[float] = deque()

    def check(self, authorization: str, settings: TenantSettings) -> Token:
        """Return the token of an Authorization header.

        Raises: `Refusal` with 401 if it is missing, unknown or older than `token_life_seconds`.
        """
        token = self._given.get(authorization[7:]) if authorization[:7].lower() == "bearer " else None
        if token is None or monotonic() - token.issued >= settings.token_life_seconds:
            raise Refusal(401, 0, "Not Authorized")
        return token

    def give(self, body: bytes, content_type: str, settings: TenantSettings, base_url: str) -> web.Response:
        """Answer a token request: a token, an OAuth error, or 429 beyond the requests allowed in a window.

        Raises: `Refusal` for too many requests, or an unreadable body.
        """
        self._count_request(settings)
        fields = _read_fields(body, content_type)
        refused = _refuse(fields, settings)
        if refused is not None:
            return refused
        package = settings.package_scopes.split()
        asked = fields.get("scope")
        # without a scope all of the package's are granted; an empty one gives a token without rights
        granted = package if asked is None else [one for one in package if one in str(asked).split()]
        if asked and not granted:
            return oauth_error(400, "invalid_scope", "The requested scope is not among the scopes of the package.")
        access_token = "sandbox." + secrets.token_urlsafe(96)
        account_id = str(fields.get("account_id") or settings.account_id or MEMBER_ID)
        self._given[access_token] = Token(monotonic(), frozenset(granted), account_id)
        spelled = base_url if settings.host_spelling == "url" else base_url.removeprefix("http://").removesuffix("/")
        return json_answer(
            {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": settings.expires_in_seconds,
                "scope": " ".join(granted),
                "soap_instance_url": spelled,
                "rest_instance_url": spelled,
            },
            headers={"Cache-Control": "no-store"},
        )

    def _count_request(self, settings: TenantSettings) -> None:
        now = monotonic()
        while self._requests and now - self._requests[0] >= settings.token_window_seconds:
            self._requests.popleft()
        if settings.token_requests_per_window and len(self._requests) >= settings.token_requests_per_window:
            raise Refusal(429, 50200, BLOCKED)
        self._requests.append(now)


def oauth_error(status: int, error: str, description: str) -> web.Response:
    """Return an error in the shape of the token route."""
    return json_answer(
        {"error": error, "error_description": description, "error_uri": "https://developer.salesforce.com/docs"}, status
    )


def _read_fields(body: bytes, content_type: str) -> dict[str, Any]:
    if content_type == FORM:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if content_type != "application/json":
        raise Refusal(415, 0, "Unsupported Media Type")
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, 10004, "The message is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise Refusal(400, 10004, "The message is not a JSON object.")
    return fields


def _refuse(fields: dict[str, Any], settings: TenantSettings) -> web.Response | None:
    if settings.ip_refused:
        return oauth_error(401, "invalid_grant", REFUSED_IP)
    grant = fields.get("grant_type")
    if not grant:
        return oauth_error(400, "invalid_request", "The grant_type is missing.")
    if grant != "client_credentials":
        return oauth_error(400, "unsupported_grant_type", "The grant_type must be client_credentials.")
    if fields.get("client_id") != settings.client_id:
        return oauth_error(401, "invalid_client", UNKNOWN_CLIENT)
    valid_secrets = settings.client_secrets + settings.staged_secrets
    if settings.package_disabled or fields.get("client_secret") not in valid_secrets:
        return oauth_error(401, "invalid_client", FAILED_CLIENT)
    account_id = fields.get("account_id")
    if settings.account_id is not None and account_id is not None and str(account_id) != settings.account_id:
        return oauth_error(401, "invalid_client", FAILED_CLIENT)
    return None
