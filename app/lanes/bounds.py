"""Decides whether a profile may wait in a lane: JSON that every reader understands alike, not too large, not too deep. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, NamedTuple

import orjson

from app.mapping.update import Reason

MOST_BYTES = 1_000_000
MOST_DEPTH = 64
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Readied(NamedTuple):
    """A profile with its JSON, which alone counts; or, with None for the profile, the reason why it cannot wait in a lane."""

    profile: Any
    json: bytes | Reason

    @property
    def size(self) -> int:
        return len(self.json) if isinstance(self.json, bytes) else 0


def ready(profile: Any, looked_at: Iterable[str] = ()) -> Readied:
    """Prepare a profile once, before it is sorted into a lane.

    A profile may hold more than JSON does (a UUID, an Enum, a tuple). If one of the members `looked_at`, by which it is
    sorted, holds such a value, the profile is read back from its JSON; reading back every profile would take longer.
    """
    json = to_json(profile)
    if isinstance(json, Reason):
        return Readied(None, json)
    if type(profile) is dict and all(map(_is_plain, map(profile.get, looked_at))):
        return Readied(profile, json)
    return Readied(orjson.loads(json), json)


def to_json(profile: Any) -> bytes | Reason:
    """Return the profile's JSON, or the reason why it cannot wait in a lane."""
    try:
        clear = orjson.dumps(profile)
    except TypeError as error:  # or JSONEncodeError: a number beyond 64 bits, half a surrogate pair, no JSON
        return Reason.TOO_DEEP if "ecursion" in str(error) else Reason.MALFORMED_PROFILE
    if len(clear) > MOST_BYTES:
        return Reason.TOO_LARGE
    # cheap tests first: few brackets cannot nest deeply, and a NaN would have become a null
    if clear.count(b"{") + clear.count(b"[") > MOST_DEPTH and _depth(profile) > MOST_DEPTH:
        return Reason.TOO_DEEP
    if b"null" in clear and not _is_finite(profile):
        return Reason.MALFORMED_PROFILE
    return clear


def _is_plain(value: Any) -> bool:
    """Return whether a JSON reader could have produced the value."""
    kind = type(value)
    if kind is dict:
        return all(map(_is_plain, value.values()))
    return kind in _SCALARS or (kind is list and all(map(_is_plain, value)))


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level:
        depth += 1
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item if isinstance(item, list | tuple) else ())
        ]
    return depth - 1


def _is_finite(value: Any) -> bool:
    """Return whether the value holds no NaN or infinity; Python's own JSON reader accepts both."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float):
            if not isfinite(item):
                return False
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
    return True
