"""Where a mapped value is read: from one source, or from the first of several that has a value. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from app.mapping.xdm import MISSING, MalformedProfile, Profile, identities, value_at

if TYPE_CHECKING:
    from app.destinations.model import Source

Reader = Callable[[Profile], Any]


class Sources:
    """The sources of one mapping row."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._readers = tuple(_reader(source) for source in sources)
        self._only = self._readers[0] if len(self._readers) == 1 else None

    def find(self, profile: Profile) -> tuple[Any, int]:
        """Return the value and the position of the source that has it.

        A source that is missing, null, empty text or of another shape leaves it to the next. If none has a value, the
        result is the first null or empty text found, else `MISSING`.

        Raises: `MalformedProfile` if no source can be read.
        """
        if self._only is not None:
            return self._only(profile), 0
        said: tuple[Any, int] = (MISSING, 0)
        malformed: MalformedProfile | None = None
        readable = False
        for position, read in enumerate(self._readers):
            try:
                raw = read(profile)
            except MalformedProfile as problem:
                malformed = malformed or problem
                continue
            readable = True
            if raw is not MISSING and raw is not None and raw != "":
                return raw, position
            if said[0] is MISSING and raw is not MISSING:
                said = (raw, position)
        if malformed is not None and not readable:
            raise malformed
        return said


def _reader(source: Source) -> Reader:
    name = source.name
    if source.kind == "const":
        return lambda _: name
    if source.kind == "identity":
        return lambda profile: next(iter(identities(profile, name)), MISSING)
    path = source.path
    return lambda profile: value_at(profile, path)
