"""Decides which host an access token may go to. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.errors import DestinationBroken

if TYPE_CHECKING:
    from app.destinations.model import Account

_REST_HOST = re.compile(r"[a-z0-9-]+\.rest\.marketingcloudapis\.com")


def trusted_rest_url(account: Account, named_url: str) -> str:
    """Return the REST base URL for a token whose answer named `named_url` (with or without scheme and final slash, or empty).

    It is Salesforce's REST domain over https or, for a local account, that account's own host and port.

    Raises: `DestinationBroken` for any other host, so that no answer can send the token elsewhere.
    """
    named = named_url.strip().rstrip("/")
    if not named:
        return account.rest_base_url
    own = urlsplit(account.rest_base_url)
    try:
        url = urlsplit(named if "://" in named else f"{own.scheme}://{named}")
        plain = not (url.username or url.password or url.query or url.fragment)
        bare = plain and not url.path
        if account.local:
            if plain and (url.hostname, url.port) == (own.hostname, own.port) and url.path in ("", own.path):
                return account.rest_base_url
        elif bare and url.scheme == "https" and url.port in (None, 443) and _REST_HOST.fullmatch(url.hostname or ""):
            return f"https://{url.hostname}"
    except ValueError:
        pass
    raise DestinationBroken(
        "The token endpoint names a REST host that is not Marketing Cloud's; the token is not sent there.",
        code="foreign_host",
        remedy="Check account.subdomain in the destination file, and what stands between this machine and Salesforce.",
    )
