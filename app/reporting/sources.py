"""Where recent profiles carry values: names and types, never a value.

Delivered profiles are not kept, so this samples profiles that wait or have failed. A name is shown only if it looks like a
field's name, because a map may use personal data as names.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

from app.errors import SealBroken
from app.keys import LANES, DestinationKeys
from app.lanes.entries import read_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from app.resources import Resources

LOOKED_AT = 300
DEEPEST = 8
MOST_NAMES = 300
_NAME = re.compile(r"[A-Za-z_][A-Za-z_]*(?:\d{1,3}[A-Za-z_]*)?")  # no long digits: those may be people's numbers
_APART = ("identityMap", "segmentMembership", "occurredAt")


def read_sources(resources: Resources, destination_id: str) -> list[tuple[str, str, int]]:
    """Return sources as a mapping spells them, with type and number of sampled profiles; the most frequent first."""
    return sources_of(islice(_profiles(resources, destination_id), LOOKED_AT))


def sources_of(profiles: Iterable[Any]) -> list[tuple[str, str, int]]:
    """Do the same for these profiles. Pure."""
    counts: Counter[str] = Counter()
    types: dict[str, str] = {}
    for profile in profiles:
        if not isinstance(profile, dict):
            continue
        found = dict(_fields(profile, (), 0))
        identities = profile.get("identityMap")
        if isinstance(identities, dict):
            found |= {f"IdentityMap: {name}": "identity" for name in identities if _NAME.fullmatch(str(name))}
        for source, kind in found.items():
            counts[source] += 1
            types[source] = kind if types.get(source, kind) == kind else "several types"
    return [(source, types[source], count) for source, count in counts.most_common(MOST_NAMES)]


def _fields(value: dict[str, Any], path: tuple[str, ...], depth: int) -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        if (not path and name in _APART) or not _NAME.fullmatch(name):
            continue
        if isinstance(item, dict):
            if depth < DEEPEST:
                yield from _fields(item, (*path, name), depth + 1)
        elif not isinstance(item, list):
            yield f"xdm: {'.'.join((*path, name))}", _type(item)


def _type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "number"
    return "text"


def _profiles(resources: Resources, destination_id: str) -> Iterator[Any]:
    keys = DestinationKeys(destination_id)
    for number in range(LANES):
        for stream, backfill in ((keys.lane(number).live, False), (keys.lane(number).backfill, True)):
            entries: Any = resources.redis.xrevrange(stream, count=LOOKED_AT // LANES + 1)
            for entry_id, fields in entries:
                entry = read_fields(entry_id, fields, backfill=backfill)
                try:
                    yield entry.open(resources.ring, destination_id)
                except SealBroken:
                    continue
    for failure in islice(resources.failures(destination_id).all(), LOOKED_AT):
        try:
            yield failure.open(resources.ring, destination_id)
        except SealBroken:
            continue
