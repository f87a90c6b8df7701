"""Takes a request's body apart: inflates it within bounds and finds its profiles. Pure.

The content type is ignored: Adobe Experience Platform does not document which one it sends, and a body that is no JSON
fails anyway.
"""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from app.errors import RequestRefused
from app.intake.pieces import pieces

MOST_BYTES = 8_000_000  # as sent
MOST_INFLATED = 16_000_000
MOST_PROFILES = 10_000
MOST_VALUES = 1_000_000  # a value may take two bytes in a body, but far more in memory
_MOST_MEMBERS = 1_000
_PIECE_BYTES = 65_536
_BYTES_A_VALUE = 120  # of memory; also a measure of the work, which depends mostly on the values
_GZIP, _ZLIB, _RAW = 31, 15, -15
_ZLIB_METHOD = 8
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def too_large(what: str) -> RequestRefused:
    return RequestRefused(f"The body {what}.", status=413, code="too_large", remedy="Send it in several requests.")


def inflate(body: bytes, content_encoding: str) -> bytes:
    """Return the body without its content encodings: gzip, deflate (with or without a zlib header), identity.

    Raises: `RequestRefused`.
    """
    plain = inflate_within(MOST_INFLATED, body, content_encoding)
    if plain is None:
        raise too_large(f"is more than {MOST_INFLATED:,} bytes once inflated")
    return plain


def inflate_within(most: int, body: bytes, content_encoding: str) -> bytes | None:
    """Do the same, but return None as soon as the result exceeds `most` bytes."""
    names = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if len(names) > 2 or any(name not in ("gzip", "x-gzip", "deflate") for name in names):
        raise RequestRefused(
            "The body has a content encoding that is none of gzip, deflate and identity.",
            status=415,
            code="unknown_encoding",
        )
    plain: bytes | None = body
    for name in reversed(names):
        if plain is not None:
            plain = _inflated(plain, _window(plain) if name == "deflate" else _GZIP, most)
    return plain


def _window(body: bytes) -> int:
    """Return the window for deflate, which should have a zlib header and often has none."""
    headed = len(body) > 1 and body[0] & 15 == _ZLIB_METHOD and int.from_bytes(body[:2]) % 31 == 0
    return _ZLIB if headed else _RAW


def _inflated(body: bytes, window: int, most: int) -> bytes | None:
    parts: list[bytes] = []
    at, members, room = 0, 0, most
    while at < len(body) and (window == _GZIP or not members):  # a gzip body may have several members
        if members == _MOST_MEMBERS:
            raise too_large(f"has more than {_MOST_MEMBERS:,} gzip members")
        inflater = zlib.decompressobj(window)
        while not inflater.eof:
            piece = body[at : at + _PIECE_BYTES]  # in pieces, because zlib copies what follows a member
            if not piece:
                raise _broken()
            try:
                part = inflater.decompress(piece, room + 1)
            except zlib.error:
                raise _broken() from None
            at += len(piece) - len(inflater.unused_data)
            room -= len(part)
            if room < 0:
                return None
            parts.append(part)
        members += 1
    return b"".join(parts)


def _broken() -> RequestRefused:
    return RequestRefused("The body cannot be inflated: it is broken or cut short.", status=400, code="broken_encoding")


def weigh(body: bytes) -> int:
    """Estimate how many bytes of memory a body takes together with its profiles. Raises: `RequestRefused` for too many values."""
    values = body.count(b",") + body.count(b"{") + body.count(b"[") + body.count(b"\n")
    if values > MOST_VALUES:
        raise too_large(f"holds more than {MOST_VALUES:,} values")
    return 2 * len(body) + _BYTES_A_VALUE * values


def read_profiles(body: bytes) -> list[Any]:
    """Return the profiles of one object, an array, `{"profiles": […]}` or NDJSON.

    One that is no JSON becomes None, and is excluded later. Pass the body to `weigh` first.

    Raises: `RequestRefused` if it is none of these, or holds too many profiles.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        profiles = _one_by_one(body)
    else:
        profiles = _of(document)
    if len(profiles) > MOST_PROFILES:
        raise _too_many()
    return profiles


def _of(document: Any) -> list[Any]:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise _no_profiles("is neither an object nor an array")
    profiles = document.get("profiles")
    if isinstance(profiles, list) and "identityMap" not in document:
        return profiles
    return [document]


def _one_by_one(body: bytes) -> list[Any]:
    found = pieces(body, MOST_PROFILES)
    if found is None:
        raise _no_profiles("is no JSON in UTF-8" if body.strip() else "is empty")
    if len(found) > MOST_PROFILES:
        raise _too_many()
    return [_loaded(piece) for piece in found]


def _loaded(piece: bytes) -> Any:
    try:
        return orjson.loads(piece)
    except orjson.JSONDecodeError:
        return None


def _too_many() -> RequestRefused:
    return too_large(f"holds more than {MOST_PROFILES:,} profiles")


def _no_profiles(what: str) -> RequestRefused:
    return RequestRefused(
        f"The body {what}.",
        status=400,
        code="no_profiles",
        remedy='Send one profile, an array of profiles, {"profiles": [...]}, or one profile a line.',
    )
