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
    own = urlsplit(url)
    named = urlsplit(origin)
    return not named.netloc or (named.netloc != host and (named.scheme, named.netloc) != (own.scheme, own.netloc))
