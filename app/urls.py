"""Checks the URLs in the environment before anything connects to them.

A fault is described without quoting the URL, which may hold a password; and a password that contains `/`, `#`, `?` or `@`
can spill into any other part.
"""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, urlsplit

REDIS_SCHEMES = ("redis", "rediss", "unix")
BROKER_SCHEMES = ("redis", "rediss", "amqp", "amqps", "pyamqp")
_CERTIFICATES = frozenset(("required", "optional", "none"))
_ENCODE = "is no URL. In a password write / as %2F, # as %23, ? as %3F, @ as %40, : as %3A, [ as %5B and % as %25."


def fault_in_redis_url(text: str) -> str:
    """Return what is wrong with the URL of the state's Redis; '' if its client accepts it."""
    from redis.connection import Connection, parse_url
    from redis.exceptions import RedisError

    url = _split(text)
    if url is not None and url.scheme not in REDIS_SCHEMES:
        return "must begin with redis://, rediss:// or unix://, such as redis://:PASSWORD@HOST:6379/0."
    if url is None or url.fragment or not text.startswith(f"{url.scheme}://"):
        return _ENCODE
    if url.scheme != "unix":
        if "@" in url.path + url.query:
            return _ENCODE
        if url.path.strip("/") and not url.path[1:].isdecimal():
            return "must end with the number of a database, such as /0, or with nothing after the port."
    try:
        options = parse_url(text)  # type: ignore[no-untyped-call]  # so in redis-py
        options.pop("connection_class", Connection)(**options)
    except (ValueError, TypeError, RedisError):
        return (
            "has an option after its ? that the client of Redis does not know, or with a value that it does not take."
        )
    return ""


def fault_in_broker_url(text: str) -> str:
    """Return what is wrong with the URL of Celery's broker, or with several separated by ;; '' if nothing."""
    for part in text.split(";"):
        url = _split(part)
        if url is not None and url.scheme.partition("+")[0] not in BROKER_SCHEMES:
            return "must begin with redis://, rediss:// or amqp://, such as amqp://USER:PASSWORD@HOST:5672/VHOST."
        if url is None or url.fragment or "@" in url.path + url.query or "://" not in part:
            return _ENCODE
        if not _CERTIFICATES.issuperset(value for name, value in parse_qsl(url.query) if name == "ssl_cert_reqs"):
            return "has another ssl_cert_reqs than required, optional and none."
    return ""


def fault_in_smtp_url(text: str) -> str:
    """Return what is wrong with the URL of a mail server; '' if nothing."""
    url = _split(text)
    if url is None or any(character.isspace() for character in text):
        return _ENCODE
    if url.scheme not in ("smtp", "smtps") or not url.hostname:
        return "must begin with smtp:// or smtps:// and name a host."
    return ""


def fault_in_web_url(text: str) -> str:
    """Return what is wrong with an http or https URL to post to; '' if nothing."""
    url = _split(text)
    if url is None or any(character.isspace() for character in text):
        return _ENCODE
    if url.scheme not in ("http", "https") or not url.hostname:
        return "must begin with http:// or https:// and name a host."
    return ""


def _split(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None if its host or port is impossible."""
    try:
        url = urlsplit(text)
        _ = url.port  # reading it validates it
        (url.hostname or "").encode("idna")
    except ValueError:
        return None
    return url
