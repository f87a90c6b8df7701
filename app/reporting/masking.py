"""Shows a profile's shape without its data. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.destinations.model import Destination

MASK = "***"
XDM_NAMES = frozenset(
    {
        "identityMap",
        "segmentMembership",
        "ups",
        "id",
        "primary",
        "authenticatedState",
        "status",
        "lastQualificationTime",
        "occurredAt",
        "person",
        "name",
        "firstName",
        "lastName",
        "personalEmail",
        "address",
        "version",
        "validUntil",
        "payload",
    }
)


def mask(value: object, known: frozenset[str]) -> object:
    """Hide every value, and every name that neither XDM nor the mapping defines.

    Names can be personal too, such as phone numbers used as a map's keys.
    """
    if isinstance(value, dict):
        masked = [(name if name in known else MASK, mask(item, known)) for name, item in value.items()]
        return {(name if name != MASK else f"{MASK}{number}"): item for number, (name, item) in enumerate(masked)}
    if isinstance(value, list):
        return [mask(item, known) for item in value]
    return MASK


def known_names(destination: Destination) -> frozenset[str]:
    """Return the names in a destination's mapping and segments, which reveal nothing about a profile."""
    sources = [source for row in destination.mapping for source in row.sources]
    paths = [part for source in sources if source.kind == "xdm" for part in source.path if isinstance(part, str)]
    paths += [name for source in sources for name in (source.name, source.name.casefold())]
    segments = [part for segment in destination.segments for part in (segment.id, segment.namespace)]
    return XDM_NAMES.union(paths, segments)
