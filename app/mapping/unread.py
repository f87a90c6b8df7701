"""Finds columns of a table that a destination does not read, and what was probably meant by them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from app.mapping.paths import Path, spell
from app.names import fold, nearest

if TYPE_CHECKING:
    from app.destinations.model import Destination

MOST_NAMED = 10
_NAMESPACED = ("identityMap", "segmentMembership")
_SHORTEST_PART = 3


def tell_unread(columns: Mapping[str, Path], destination: Destination) -> list[str]:
    """Return a sentence for each of the first ten columns that nothing reads; a last one counts the others.

    `columns`: the path in the profile to which each column goes, by name.
    """
    wanted = {_folded(path): path for path in _paths(destination)}
    going = {name: _folded(path) for name, path in columns.items()}
    unread = [name for name, path in going.items() if not any(_is_on_the_way(path, read) for read in wanted)]
    free = [
        _spelt(path) for read, path in wanted.items() if not any(_is_on_the_way(path, read) for path in going.values())
    ]
    told = [_tell(name, columns[name], free) for name in unread[:MOST_NAMED]]
    more = len(unread) - len(told)
    return [*told, f"and {more:,} more"] if more else told


def _paths(destination: Destination) -> Iterator[Path]:
    """Yield every path of a profile that is read."""
    yield ("occurredAt",)
    for row in destination.mapping:
        for source in row.sources:
            if source.kind == "identity":
                yield "identityMap", source.name
            elif source.kind == "xdm":
                yield source.path
    for segment in destination.segments:
        yield "segmentMembership", segment.namespace, segment.id
    if destination.options.consent is not None:
        yield destination.options.consent.path


def _folded(path: Path) -> Path:
    """Normalise a path as profiles are read: without prefixes, namespaces in any case."""
    steps = [step.removeprefix("xdm:") if isinstance(step, str) else step for step in path]
    if steps[0] in _NAMESPACED and len(steps) > 1:
        steps[1] = str(steps[1]).casefold()
    return tuple(steps)


def _is_on_the_way(path: Path, read: Path) -> bool:
    """Return whether a column holds what is read, contains it or is part of it."""
    shorter = min(len(path), len(read))
    return path[:shorter] == read[:shorter]


def _spelt(path: Path) -> str:
    """Write a path as the name of a column."""
    return ".".join(map(str, path)) if path[0] in _NAMESPACED else spell(path)


def _tell(name: str, path: Path, free: list[str]) -> str:
    place = name if path == (name,) else _spelt(path)
    what = (
        f"column {name!r} is read by nothing"
        if place == name
        else f"column {name!r} goes to {place!r}, which nothing reads"
    )
    likely = _likely(place, free)
    return f"{what}; did you mean {likely!r}?" if likely else what


def _likely(place: str, free: list[str]) -> str | None:
    """Return the path that was probably meant. Not a segment's: their ids are no words, so likeness means nothing."""
    words = [path for path in free if not path.startswith("segmentMembership.")]
    part = fold(place)
    within = (path for path in words if len(part) >= _SHORTEST_PART and part in fold(path).replace(".", ""))
    return nearest(place, words) or next(within, None)
