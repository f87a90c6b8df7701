"""Decides from the browser's headers whether a form was sent by one of our pages. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_foreign(*, site: str, origin: str, host: str, url: str) -> bool:
    """Return whether a form came from elsewhere, by the headers Sec-Fetch-Site, Origin and Host and the console's own `url`.

    A missing header is ''. A client that sends neither of the first two is no browser and has nobody's cookies.
    """
    if site:
        return site not in ("same-origin", "none")
    if not origin:
        return False
    named = _place(origin)
    return named is None or named not in (_place(f"{named[0]}://{host}"), _place(url))


def _place(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port, normalised; None if the URL names no host."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme, 0)
