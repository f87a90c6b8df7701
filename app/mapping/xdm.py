"""Reads a profile: nested XDM values, identities and segment memberships. Pure.

Keys may carry the prefix `xdm:`, as stored XDM does. An unexpected shape raises `MalformedProfile`, whose text names the
place and never the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from app.mapping.paths import Path, spell
from app.moments import parse_time

Profile = Mapping[str, Any]


class Missing(Enum):
    """A place that the profile does not mention; unlike None, which is JSON's null."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
EXACT: Final = 2**53  # JSON readers may return a larger whole number as the nearest float

_ID, _PRIMARY = ("id",), ("primary",)
_MEMBERSHIPS, _STATUS, _QUALIFIED_AT = ("segmentMembership",), ("status",), ("lastQualificationTime",)


class MalformedProfile(ValueError):
    """A place in the profile does not have the expected shape."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A profile's status in one segment. `qualified_at_ms`: None if the profile does not say when."""

    status: str
    qualified_at_ms: int | None


def value_at(profile: Profile, path: Path) -> Any:
    """Return the value at a path of keys and positions; `MISSING` if the profile does not go that far.

    Raises: `MalformedProfile`.
    """
    value: Any = profile
    for depth, key in enumerate(path):
        if value is None:
            return MISSING
        # type() spares the slow check against the abstract class, which would run some twenty times per profile
        if type(key) is int:
            if not isinstance(value, list):
                raise MalformedProfile(f"{spell(path[:depth])} is not a list")
            if key >= len(value):
                return MISSING
            value = value[key]
            continue
        if type(value) is not dict and not isinstance(value, Mapping):
            raise MalformedProfile(f"{spell(path[:depth])} is not an object")
        found = value.get(key, MISSING)
        value = value.get(f"xdm:{key}", MISSING) if found is MISSING else found
        if value is MISSING:
            return MISSING
    return value


def identities(profile: Profile, namespace: str) -> tuple[str, ...]:
    """Return the distinct ids of one namespace (only the primary ones, if any are), sorted because they come in no order.

    Namespaces compare without case and without the prefix `xdm:`: AEP exports them in lower case, whatever their symbol.

    Raises: `MalformedProfile`.
    """
    identity_map = value_at(profile, ("identityMap",))
    if identity_map is MISSING or identity_map is None:
        return ()
    if not isinstance(identity_map, Mapping):
        raise MalformedProfile("identityMap is not an object")
    ids: list[str] = []
    primary: list[str] = []
    folded = _folded(namespace)
    for name, items in identity_map.items():
        if items is None or (name != namespace and _folded(name) != folded):
            continue
        if not isinstance(items, list):
            raise MalformedProfile(f"identityMap.{namespace} is not a list")
        for item in items:
            raw = value_at(item, _ID) if type(item) is dict or isinstance(item, Mapping) else MISSING
            text = id_text(raw)
            if text is None:
                raise MalformedProfile(f"identityMap.{namespace} has an entry without an id")
            if text.strip():
                (primary if value_at(item, _PRIMARY) is True else ids).append(text)
    found = primary or ids
    return tuple(found) if len(found) <= 1 else tuple(sorted(set(found)))


def id_text(raw: Any) -> str | None:
    """Return an id as text; None if it is none. A whole number may be a float: some programs know only floats."""
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < EXACT:
        raw = int(raw)
    return None if isinstance(raw, bool) or not isinstance(raw, str | int) else str(raw)


def with_identity(profile: Profile, namespace: str, one: str) -> dict[str, Any]:
    """Return the profile with this id as the only one of the namespace."""
    folded = _folded(namespace)
    identity_map = value_at(profile, ("identityMap",))
    others = {name: items for name, items in identity_map.items() if _folded(name) != folded}
    rest = {key: value for key, value in profile.items() if key not in ("identityMap", "xdm:identityMap")}
    return rest | {"identityMap": others | {namespace: [{"id": one}]}}


def namespaces(profile: Any) -> tuple[str, ...]:
    """Return the namespaces in which a profile has identities, spelt as in the profile; none if it is malformed."""
    found = value_at(profile, ("identityMap",)) if isinstance(profile, Mapping) else None
    return tuple(str(name) for name, items in found.items() if items) if isinstance(found, Mapping) else ()


class Memberships:
    """The segment memberships of one profile. Raises: `MalformedProfile` if they are no object."""

    def __init__(self, profile: Profile) -> None:
        found = value_at(profile, _MEMBERSHIPS)
        if found is MISSING or found is None:
            found = {}
        if not isinstance(found, Mapping):
            raise MalformedProfile("segmentMembership is not an object")
        self._by_name: Mapping[str, Any] = found
        self._by_folded: dict[str, list[Any]] | None = None

    def of(self, namespace: str, segment_id: str) -> Membership | None:
        """Return the membership in one segment; None if the profile does not mention it. Namespaces compare without case.

        Raises: `MalformedProfile`.
        """
        item = self._find(namespace, segment_id)
        if item is None:
            return None
        status = value_at(item, _STATUS) if isinstance(item, Mapping) else MISSING
        if not isinstance(status, str):
            raise MalformedProfile(f"segmentMembership.{namespace}.{segment_id} has no status")
        when = value_at(item, _QUALIFIED_AT)
        if when is MISSING or when is None:
            return Membership(status, None)
        try:
            return Membership(status, parse_time(when))
        except ValueError:
            raise MalformedProfile(
                f"segmentMembership.{namespace}.{segment_id}.lastQualificationTime is not a time"
            ) from None

    def mention(self, namespace: str, segment_id: str) -> bool:
        """Return whether the profile says anything about a segment, well formed or not."""
        try:
            return self._find(namespace, segment_id) is not None
        except MalformedProfile:
            return False

    def _find(self, namespace: str, segment_id: str) -> Any:
        item = _in_namespace(self._by_name.get(namespace), namespace, segment_id)
        if item is not None:
            return item
        others = (_in_namespace(segments, namespace, segment_id) for segments in self._spellings(namespace))
        return next((other for other in others if other is not None), None)

    def _spellings(self, namespace: str) -> list[Any]:
        """Return what the profile has under any spelling of the namespace.

        All are folded once, since both a profile and a destination may have many.
        """
        if self._by_folded is None:
            self._by_folded = {}
            for name, segments in self._by_name.items():
                self._by_folded.setdefault(_folded(name), []).append(segments)
        return self._by_folded.get(_folded(namespace), [])


def _folded(namespace: object) -> str:
    return str(namespace).removeprefix("xdm:").casefold()


def _in_namespace(segments: Any, namespace: str, segment_id: str) -> Any:
    """Return what the namespace says about a segment; None for nothing."""
    if segments is None:
        return None
    if not isinstance(segments, Mapping):
        raise MalformedProfile(f"{spell(('segmentMembership', namespace))} is not an object")
    item = value_at(segments, (segment_id,))
    return None if item is MISSING else item
