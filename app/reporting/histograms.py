"""Histograms of times in fixed buckets, counted in hashes: one field per bucket, and the sum. Pure.

The field `call:0.25` counts the calls that took at most 0.25 s and more than the previous bound, `call:inf` those beyond
the last bound; `call:ms` is the sum of all in milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Timed(StrEnum):
    """What is timed: one HTTP call for a contact; from enqueueing to acceptance; one `Producer.enqueue`."""

    CALL = "call"
    ACCEPTANCE = "acceptance"
    ENQUEUE = "enqueue"


_SHORT = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120)
_LONG = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets of what is timed. `fields`: one per bound, then one beyond the last. `total`: the field of the sum."""

    bounds: tuple[float, ...]
    fields: tuple[str, ...]
    total: str

    def field_of(self, seconds: float) -> str:
        """Return the field that counts a time."""
        return self.fields[bisect_left(self.bounds, seconds)]


def _buckets(timed: Timed, bounds: tuple[float, ...]) -> Buckets:
    return Buckets(bounds, (*(f"{timed}:{bound:g}" for bound in bounds), f"{timed}:inf"), f"{timed}:ms")


BUCKETS: Mapping[Timed, Buckets] = {
    Timed.CALL: _buckets(Timed.CALL, _SHORT),
    Timed.ACCEPTANCE: _buckets(Timed.ACCEPTANCE, _LONG),
    Timed.ENQUEUE: _buckets(Timed.ENQUEUE, _SHORT),
}


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts`: of each bucket on its own, the one beyond the last bound at the end."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum_seconds: float

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Return the time in seconds within which this share (0 to 1) stayed, interpolated in its bucket.

        Beyond the last bound it returns that bound; without any counts, None.
        """
        wanted = share * self.count
        below, lower = 0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= wanted:
                return lower + (bound - lower) * (wanted - below) / count
            below, lower = below + count, bound
        return lower if self.count else None

    def cumulated(self) -> list[tuple[str, int]]:
        """Return upper bounds and how many stayed within each, as Prometheus expects."""
        found, below = [], 0
        for bound, count in zip((*(f"{bound:g}" for bound in self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, below))
        return found


def read_histogram(timed: Timed, counts: Mapping[str, int]) -> Histogram:
    """Read a histogram from the counts of a run, or of several together."""
    buckets = BUCKETS[timed]
    return Histogram(
        buckets.bounds, tuple(counts.get(name, 0) for name in buckets.fields), counts.get(buckets.total, 0) / 1000
    )


def most_frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return names with their counts, the highest first."""
    return sorted(counts.items(), key=lambda item: -item[1])


def together(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up the counts of several runs."""
    found: dict[str, int] = {}
    for counts in several:
        for name, count in counts.items():
            found[name] = found.get(name, 0) + count
    return found
