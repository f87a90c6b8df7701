"""Finds failures by code, field, segment, job and age, and groups them by what to do about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import SealBroken

if TYPE_CHECKING:
    from app.lanes.failures import Failure
    from app.resources import Resources


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which failures to find; '' and None match any.

    `field`: part of an attribute's name. `segment`: an id that the profile mentions. `until_ms`: limits an action to what
      existed when it was confirmed.
    """

    code: str = ""
    field: str = ""
    segment: str = ""
    job: str = ""
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Failures with the same remedy."""

    code: str
    text: str
    remedy: str
    count: int


def find_failures(resources: Resources, destination_id: str, wanted: Wanted) -> Iterator[Failure]:
    """Yield failures, oldest first. Profiles are opened only to search for a segment."""
    store = resources.failures(destination_id)
    for failure in store.all(code=wanted.code or None, since_ms=wanted.since_ms, until_ms=wanted.until_ms):
        if wanted.job and failure.origin.job_id != wanted.job:
            continue
        if wanted.field and wanted.field.casefold() not in f"{failure.text} {failure.remedy}".casefold():
            continue
        if wanted.segment and not _mentions(resources, destination_id, failure, wanted.segment):
            continue
        yield failure


def _mentions(resources: Resources, destination_id: str, failure: Failure, segment: str) -> bool:
    try:
        profile = failure.open(resources.ring, destination_id)
    except SealBroken:
        return False
    membership = profile.get("segmentMembership") if isinstance(profile, dict) else None
    namespaces = membership.values() if isinstance(membership, dict) else ()
    return any(isinstance(members, dict) and segment in members for members in namespaces)


def group(failures: Iterable[Failure]) -> list[Group]:
    """Group failures by code, text and remedy, the most frequent first."""
    counts = Counter((item.code, item.text, item.remedy) for item in failures)
    return [Group(*what, count) for what, count in counts.most_common()]
