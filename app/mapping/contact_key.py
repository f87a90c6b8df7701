"""Finds the contact key of a profile, or its several keys. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from app.errors import UsageError
from app.mapping.update import Excluded, Reason
from app.mapping.xdm import MISSING, MalformedProfile, id_text, identities, namespaces, value_at, with_identity

if TYPE_CHECKING:
    from app.destinations.model import Destination, Source

MOST_CONTACTS = 50  # of one profile; as many identities as an identity graph of AEP holds
_MOST_NAMES = 5
# Like AEP's codes: a letter, then letters, digits and underscores. Few digits, or it may be somebody's number.
_CODE = re.compile(r"(?!(?:[^0-9]*[0-9]){4})[a-z][a-z0-9_]{1,31}")


class ContactKeys:
    """Finds the contacts of a profile by a destination's mapping and `several_identities`; needs no catalog."""

    def __init__(self, destination: Destination) -> None:
        """Read the contact key's row. Raises: `UsageError` if the mapping has none."""
        row = next((row for row in destination.mapping if row.target.kind == "contact_key"), None)
        if row is None:
            raise UsageError(f"The mapping of {destination.id} has no contact key.", remedy="Add the contactKey row.")
        self._sources = row.sources
        self._place = " or ".join(map(_place, row.sources))
        self._sha256 = row.transform == "sha256"
        self._several = destination.options.several_identities

    def one(self, profile: Any) -> str | Excluded:
        """Return the contact key of a profile in a lane; of several ids the first in text order."""
        found = self._find(profile)
        return found if isinstance(found, Excluded) else self._written(found[1][0])

    def split(self, profile: Any) -> list[tuple[str, Any]] | Excluded:
        """Return the profile's contact keys, each with the profile as it is for that contact alone.

        There is just one unless several are allowed.
        """
        found = self._find(profile)
        if isinstance(found, Excluded):
            return found
        source, ids = found
        if len(ids) == 1 or self._several != "all":
            return [(self._written(ids[0]), profile)]
        if len(ids) > MOST_CONTACTS:
            return Excluded(Reason.AMBIGUOUS_CONTACT_KEY, f"{_place(source)} has more than {MOST_CONTACTS} ids")
        return [(self._written(one), with_identity(profile, source.name, one)) for one in ids]

    def count(self, profile: Any) -> int:
        """Return how many entries a profile becomes, so that callers can bound their number; 1 for one that is excluded."""
        if self._several != "all":
            return 1
        found = self._find(profile)
        return 1 if isinstance(found, Excluded) else min(len(found[1]), MOST_CONTACTS)

    def _find(self, profile: Any) -> tuple[Source, tuple[str, ...]] | Excluded:
        """Return the first source that has ids, and its ids as text, not hashed yet."""
        if not isinstance(profile, Mapping):
            return Excluded(Reason.MALFORMED_PROFILE, "the profile is not a JSON object")
        trouble: Excluded | None = None
        for source in self._sources:
            try:
                ids = _ids(profile, source)
            except MalformedProfile as problem:
                trouble = trouble or Excluded(Reason.MALFORMED_PROFILE, str(problem))
                continue
            if ids:
                if len(ids) > 1 and self._several == "exclude":
                    return Excluded(
                        Reason.AMBIGUOUS_CONTACT_KEY, f"{_place(source)} has several ids, and not one that is primary"
                    )
                return source, ids
        return trouble or Excluded(Reason.MISSING_CONTACT_KEY, self._place)

    def _written(self, key: str) -> str:
        return hashlib.sha256(key.encode()).hexdigest() if self._sha256 else key


def contact_key_reader(destination: Destination) -> Callable[[Any], str | Excluded]:
    """Return a function that finds the contact key of one profile (`ContactKeys.one`)."""
    return ContactKeys(destination).one


def tell_namespaces(excluded: Excluded, profile: Any) -> Excluded:
    """Add to an exclusion for a missing contact key which namespaces the profile has instead."""
    if excluded.reason is not Reason.MISSING_CONTACT_KEY or not (found := describe_namespaces(profile)):
        return excluded
    return Excluded(excluded.reason, f"{excluded.detail}; {found}")


def describe_namespaces(profile: Any) -> str:
    """Describe in words which identities a profile has; '' for none.

    It names a bounded number of namespaces, and only names that look like one. They come from outside: where somebody has
    put an address or a number in place of a name, it must not be repeated.
    """
    names = sorted({name.lower() for name in namespaces(profile)})
    if not names:
        return ""
    codes = [name for name in names if _CODE.fullmatch(name)]
    shown = codes[:_MOST_NAMES]
    parts = [", ".join(shown)] if shown else []
    if len(codes) > len(shown):
        parts.append("more")
    if len(names) > len(codes):
        parts.append("what is no namespace's name")
    return f"the profile has {' and '.join(parts)}"


def _ids(profile: Mapping[str, Any], source: Source) -> tuple[str, ...]:
    if source.kind == "identity":
        return identities(profile, source.name)
    found = value_at(profile, source.path)
    if found is MISSING or found is None:
        return ()
    text = id_text(found)
    if text is None:
        raise MalformedProfile(f"{_place(source)} is not text")
    return (text,) if text.strip() else ()


def _place(source: Source) -> str:
    return f"identityMap.{source.name}" if source.kind == "identity" else source.name
