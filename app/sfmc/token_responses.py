"""Decides what an answer of the token endpoint means. Pure.

Its errors come in two shapes: OAuth's `{error, error_description}` and, from the layer in front of it, REST's `{message,
errorcode}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.errors import AccountThrottled, CallError, DestinationBroken, DestinationUnreachable, Throttle
from app.sfmc.answers import error_number, quote, read_object, wait_seconds

DOCUMENTED_LIFE_SECONDS = 1079  # of every token, for an answer that does not name it
BLOCKED_SECONDS = (
    60.0  # errorcode 50200 names no time, and asks for at least a minute (Salesforce, "Rate Limiting Errors")
)


class Granted(NamedTuple):
    """A granted token. `named_url`: the REST host that the answer names, unchanged, or ''."""

    access_token: str
    life_seconds: float
    named_url: str
    scopes: frozenset[str]


def judge_token(status: int, headers: Mapping[str, str], body: bytes) -> Granted:
    """Judge the answer to `POST /v2/token`.

    Raises: `DestinationBroken` for what an operator must fix; `AccountThrottled` for 429; `DestinationUnreachable` for
    anything that says nothing about the credentials: 5xx, HTML, nonsense.
    """
    fields = read_object(body)
    if 200 <= status < 300:
        granted = None if fields is None else _read_grant(fields)
        if granted is None:
            raise DestinationUnreachable(
                f"The token endpoint answered HTTP {status} without a token.",
                code="unreadable_answer",
                http_status=status,
            )
        return granted
    raise _refusal(status, headers, fields)


def _read_grant(fields: Mapping[str, Any]) -> Granted | None:
    token, life = fields.get("access_token"), fields.get("expires_in")
    if life is None:
        life = DOCUMENTED_LIFE_SECONDS
    if isinstance(life, str) and re.fullmatch(r"\d{1,9}", life):
        life = int(life)
    # Visible ASCII only, because it goes into a header unchanged.
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        return None
    if not isinstance(life, (int, float)) or isinstance(life, bool) or not 0 < life < 1e9:
        return None
    named, scope = fields.get("rest_instance_url"), fields.get("scope")
    return Granted(
        token,
        float(life),
        named if isinstance(named, str) else "",
        frozenset(scope.split()) if isinstance(scope, str) else frozenset(),
    )


def _refusal(status: int, headers: Mapping[str, str], fields: dict[str, Any] | None) -> CallError:
    if 300 <= status < 400:
        return DestinationBroken(
            f"The token endpoint answered with a redirect (HTTP {status}); none is followed.",
            code="redirected",
            remedy="Check account.subdomain in the destination file, and whether a proxy redirects calls.",
            http_status=status,
        )
    known = fields or {}
    error = known["error"] if isinstance(known.get("error"), str) else ""
    words = [value for name in ("error_description", "message") if isinstance(value := known.get(name), str)]
    said: dict[str, Any] = {"http_status": status, "service_message": quote(error, *words)}
    wait = wait_seconds(headers, known)
    if status == 429:
        if wait is None and error_number(known) == 50200:
            wait = BLOCKED_SECONDS
        return AccountThrottled(
            "The token endpoint is asked too often (HTTP 429).",
            kind=Throttle.TOKENS,
            remedy="Delivery goes on by itself after a wait. If it comes again, see which other programs ask for tokens of the "
            "installed package, and give each a package of its own.",
            wait_seconds=wait,
            **said,
        )
    if fields is None or status >= 500 or status == 408:
        return DestinationUnreachable(
            f"The token endpoint gave no usable answer (HTTP {status}).",
            code="token_endpoint_failed",
            wait_seconds=wait,
            **said,
        )
    code, text, remedy = _explain(status, error, " ".join(words))
    return DestinationBroken(text, code=code, remedy=remedy, **said)


def _explain(status: int, error: str, words: str) -> tuple[str, str, str]:
    """Return code, text and remedy of a refusal. What the service itself said stays out of the text."""
    if error == "invalid_grant" and (not words or re.search(r"\bIP\b", words)):
        return (
            "ip_not_allowed",
            "Marketing Cloud refuses this machine's IP address (invalid_grant).",
            (
                "Ask the Marketing Cloud administrator to add the addresses that this machine's calls come from to the "
                "account's trusted IP ranges: Setup > Security > Login IP Allowlist."
            ),
        )
    if error == "unauthorized_client":
        return (
            "grant_not_allowed",
            "The installed package may not ask for tokens by client id and secret (unauthorized_client).",
            "Make an API Integration of type Server-to-Server in the package and use its client id and secret.",
        )
    if error == "invalid_scope":
        return (
            "invalid_scope",
            "The installed package does not have the permissions that were asked for (invalid_scope).",
            "Allow List and Subscribers Read and Write in the package's API Integration.",
        )
    if error == "invalid_client" and re.search(r"^Invalid client ID\b", words, re.IGNORECASE):
        return (
            "bad_credentials",
            "Marketing Cloud does not know the client id (invalid_client).",
            "Copy account.client_id from Setup > Apps > Installed Packages, of the account whose subdomain is used.",
        )
    if error == "invalid_client" or status == 401:
        return (
            "bad_credentials",
            "Marketing Cloud does not accept the client id and secret.",
            (
                "Check account.client_secret (a secret ends 180 days after it was made: rotate it and connect again), "
                "account.account_id, and that the package is installed and enabled and its user is active."
            ),
        )
    return (
        "token_refused",
        f"The token endpoint refused the request (HTTP {status}).",
        "Check account.client_id, account.client_secret and account.account_id in the destination file.",
    )
