"""What a profile may be to wait in a lane: JSON that every reader takes for the same, not too large, not too deep. Pure."""

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
    """A profile with its JSON; the JSON alone counts. What has none that could wait has the reason, and nothing of it is kept."""

    profile: Any
    json: bytes | Reason

    @property
    def size(self) -> int:
        return len(self.json) if isinstance(self.json, bytes) else 0


def ready(profile: Any, looked_at: Iterable[str] = ()) -> Readied:
    """Look at a profile once, before it is sorted into a lane.

    Of one that may hold more than a reader of JSON makes (a UUID, an Enum, a tuple), `looked_at` are the members that it is sorted
    by: where there is such a thing in them, the profile is read back from its JSON. To read every one back would take longer.
    """
    json = to_json(profile)
    if isinstance(json, Reason):
        return Readied(None, json)
    if type(profile) is dict and all(map(_is_plain, map(profile.get, looked_at))):
        return Readied(profile, json)
    return Readied(orjson.loads(json), json)


def to_json(profile: Any) -> bytes | Reason:
    """The JSON of a profile, or why it has none that could wait."""
    try:
        clear = orjson.dumps(profile)
    except TypeError as error:  # JSONEncodeError is one: a number beyond 64 bits, half a surrogate pair, no JSON at all
        return Reason.TOO_DEEP if "ecursion" in str(error) else Reason.MALFORMED_PROFILE
    if len(clear) > MOST_BYTES:
        return Reason.TOO_LARGE
    # what has fewer brackets than levels is shallow; what has no null in it had no NaN, which becomes one
    if clear.count(b"{") + clear.count(b"[") > MOST_DEPTH and _depth(profile) > MOST_DEPTH:
        return Reason.TOO_DEEP
    if b"null" in clear and not _is_finite(profile):
        return Reason.MALFORMED_PROFILE
    return clear


def _is_plain(value: Any) -> bool:
    """Whether it is what a reader of JSON makes."""
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
    """Whether no number in it is NaN or infinite; Python's own JSON reader takes both."""
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
