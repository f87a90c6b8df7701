"""Whether a form was sent by a page of ours, by what the browser says of where it comes from. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_foreign(*, site: str, origin: str, host: str, url: str) -> bool:
    """By the headers Sec-Fetch-Site, Origin and Host, '' where one is missing, and the console's own `url`.

    What sends neither of the first two is no browser, and has no cookies of anybody.
    """
    if site:
        return site not in ("same-origin", "none")
    if not origin:
        return False
    named = _place(origin)
    return named is None or named not in (_place(f"{named[0]}://{host}"), _place(url))


def _place(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port, as two spellings of one address have them; None where it names no host."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme, 0)
