"""Every destination at a glance: state and its reason, what waits, what failed, calls used of those allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.destinations.state import UNREADABLE, State, Status
from app.errors import SealBroken, UnknownDestination
from app.lanes.failures import count_failures
from app.pacing.shown import Shown, read_pace
from app.reporting.histograms import Timed, most_frequent, read_histogram, together
from app.reporting.quota import Quota, read_quota
from app.reporting.runs import Backlog, Run, read_backlog, read_counts, run_of
from app.reporting.waiting import oldest_waiting_age_seconds

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.resources import Resources


@dataclass(frozen=True, slots=True)
class Glance:
    """One destination.

    `destination`: None if it cannot be opened or is being disconnected; `problem` says why, and `problem_code` in one word.
    """

    id: str
    name: str
    state: State
    waiting: Backlog
    failures: int
    quota: Quota
    catalog_failure: str
    runs: tuple[Run, ...]
    destination: Destination | None = None
    problem: str = ""
    problem_code: str = ""
    remedy: str = ""
    oldest_seconds: float | None = None
    pace: Shown | None = None
    latency: tuple[tuple[str, float | None], ...] = ()

    @property
    def status(self) -> str:
        """The status to display."""
        return UNREADABLE if self.problem else str(self.state.status)

    @property
    def throttled_seconds(self) -> float:
        return 0.0 if self.pace is None else self.pace.wait_seconds

    @property
    def settled(self) -> int:
        return sum(sum(run.outcomes.values()) for run in self.runs)

    @property
    def success(self) -> float | None:
        """The activation rate of these runs together; None if nothing was settled."""
        lost = sum(run.outcomes["failed"] + run.outcomes["excluded"] for run in self.runs)
        return None if not self.settled else 1 - lost / self.settled

    @property
    def answers(self) -> list[tuple[str, int]]:
        """Calls by result, the most frequent first."""
        return _most([run.answers for run in self.runs])

    @property
    def matched(self) -> dict[str, int]:
        """Delivered profiles, by each field that they had a value for."""
        return dict(_most([run.matched for run in self.runs]))

    @property
    def left_out(self) -> list[tuple[str, int]]:
        """Values that could not be written, by field and reason."""
        return _most([run.left_out for run in self.runs])


def _most(counts: Iterable[dict[str, int]]) -> list[tuple[str, int]]:
    return most_frequent(together(counts))


def _latency(counts: Iterable[dict[str, int]]) -> tuple[tuple[str, float | None], ...]:
    """Return quantiles of the time from enqueueing to acceptance, in seconds."""
    whole = read_histogram(Timed.ACCEPTANCE, together(counts))
    if not whole.count:
        return ()
    return tuple((f"p{share:.0%}".rstrip("%"), whole.quantile(share)) for share in (0.5, 0.95, 0.99))


def describe_segments(destination: Destination | None) -> list[dict[str, Any]]:
    """Return a destination's segments for programs; `start` and `end` are days or null."""
    if destination is None:
        return []
    return [
        {
            "id": one.id,
            "namespace": one.namespace,
            "name": one.name,
            "mapping_id": one.mapping_id,
            "start": None if one.start is None else one.start.isoformat(),
            "end": None if one.end is None else one.end.isoformat(),
        }
        for one in destination.segments
    ]


def glance(resources: Resources, destination_id: str, *, hours: int = 24) -> Glance:
    """Return what there is to see of one destination, even if it cannot be opened. `hours`: how many of its runs to read."""
    redis = resources.redis
    waiting, failures = read_backlog(redis, destination_id), count_failures(redis, destination_id)
    try:
        destination = resources.destinations.get(destination_id)
    except (SealBroken, UnknownDestination) as error:
        return Glance(
            destination_id,
            destination_id,
            State(Status.STOPPED, code=UNREADABLE),
            waiting,
            failures,
            Quota(0, 0, 0),
            "",
            (),
            problem=str(error),
            problem_code="seal_broken" if isinstance(error, SealBroken) else "disconnected",
            remedy=error.remedy,
        )
    failure = resources.catalogs.last_failure(destination_id)
    account, limits = destination.account.key, destination.limits
    oldest = oldest_waiting_age_seconds(redis, destination_id)
    counted = read_counts(redis, destination_id, hours=hours)
    return Glance(
        id=destination_id,
        name=destination.name,
        state=resources.states.get(destination_id),
        waiting=waiting,
        failures=failures,
        quota=read_quota(redis, account, calls_per_year=limits.calls_per_year, stops=limits.stop_at_yearly_quota),
        catalog_failure="" if failure is None else failure.text,
        runs=tuple(run_of(hour, counts) for hour, counts in counted),
        destination=destination,
        pace=read_pace(redis, account, limits),
        oldest_seconds=max(
            (age for age in (oldest.live, oldest.backfill, oldest.parked) if age is not None), default=None
        ),
        latency=_latency(counts for _, counts in counted),
    )


def glances(resources: Resources) -> list[Glance]:
    return [glance(resources, destination_id) for destination_id in resources.destinations.ids()]
