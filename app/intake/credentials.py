"""Reads who a sender claims to be, from headers and forms; nothing is verified yet. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

from app.proxies import Proxies, read_address

KEY_HEADER = b"x-activation-key"
VERDICT_HEADER, NAME_HEADER = b"x-client-verify", b"x-client-name"
# a request with one of these came through a proxy or from a page in a browser
_RELAYED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via", b"origin", b"sec-fetch-site")


def presented_key(headers: Mapping[bytes, bytes]) -> str:
    """Return a request's key or token: `Authorization: Bearer …` in any case, or our own header; '' if there is none."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    found = value.strip() if scheme.lower() == b"bearer" else b""
    return (found or headers.get(KEY_HEADER, b"").strip()).decode("latin-1")


def is_local(peer: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a request comes from this machine itself, not through a proxy or from a page in a browser on it."""
    address = read_address(peer)
    return address is not None and address.is_loopback and not any(name in headers for name in _RELAYED)


def certified(peer: str, headers: Mapping[bytes, bytes], proxies: Proxies) -> frozenset[str]:
    """Return the names in the client's certificate if a proxy on loopback or one of `proxies` verified it; none otherwise."""
    if headers.get(VERDICT_HEADER, b"") != b"SUCCESS":
        return frozenset()
    address = read_address(peer)
    if address is None or not (address.is_loopback or address in proxies):
        return frozenset()
    text = headers.get(NAME_HEADER, b"").decode("latin-1")
    return frozenset(_common_name(part) for part in text.split(",") if part.strip())


def _common_name(part: str) -> str:
    """Return the name in `CN=a`, `DNS:a` or `a`; other parts of a distinguished name stay as they are."""
    return part.strip().removeprefix("CN=").removeprefix("DNS:").lower()


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to the token endpoint. `clients`: the possible readings of id and secret, plain and URL-decoded."""

    grant_type: str
    clients: tuple[tuple[str, str], ...]
    user: tuple[str, str] | None = None


def read_token_request(body: bytes, authorization: bytes) -> TokenRequest:
    """Read the form and the Basic header; missing values are empty."""
    try:
        form = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=50))
    except ValueError:  # not UTF-8, or too many fields
        form = {}
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() == b"basic":
        clients = _basic(value)
    elif "client_id" in form:
        clients = ((form["client_id"], form.get("client_secret", "")),)
    else:
        clients = ()
    user = (form["username"], form.get("password", "")) if "username" in form else None
    return TokenRequest(form.get("grant_type", ""), clients, user)


def _basic(value: bytes) -> tuple[tuple[str, str], ...]:
    try:
        text = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ()
    name, colon, secret = text.partition(":")
    if not colon:
        return ()
    plain, decoded = (name, secret), (unquote_plus(name), unquote_plus(secret))
    return tuple(dict.fromkeys((plain, decoded)))
