"""How many calls to send to an account at once, learned from how long calls take, about once a second. Pure.

Call time shows when the server begins to queue calls (TCP Vegas; Netflix's gradient limiter). If permits hold calls up, a
trial with fewer permits is made from time to time, and whenever calls take twice as long as on a server at ease. If as much
gets through (calls at once divided by call time, Little's law), the other permits only slowed the server down, and they are
not used again. If less gets through, the slowness was not our doing, and the longer time is what a call now takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.pacing.observations import Observations

CROWD_SECONDS: Final = 2_400.0  # of permits holding calls up, until twice the refused number is tried
CROWDED: Final = 2.0  # times as long as at ease: try fewer at once
AT_EASE: Final = 1.5  # times as long as at ease; below, allow more at once
MORE: Final = 1.05  # times as many permits, or one more
TRIED: Final = 0.7  # share of the permits used in a trial
# Added to the time of a call, until everything seen began within the trial: reports and learning each come once a second
SETTLED_SECONDS: Final = 2.5
AS_MUCH: Final = 0.97  # of what got through before: as much, within measuring error
FIRST_TRIAL_SECONDS: Final = 5.0  # of permits holding calls up; doubled after each trial that failed
RAREST_TRIAL_SECONDS: Final = 960.0
EASE_GROWTH: Final = 1.002  # each time: what was once quick need not stay so


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial with fewer permits: how many there were before, and how long calls took then."""

    permits_before: float
    call_seconds_before: float


@dataclass(frozen=True, slots=True)
class Concurrency:
    """What is known about how many calls at once an account takes.

    `permits`: how many hold now.
    `fits`: one fewer than the account once called too many (0: it never did); `fits_seconds`: how long permits have held
      calls up since.
    `ease_seconds`: how long a call takes on a server at ease (0: unknown).
    `trial`: the current trial, if any, begun `tried_seconds` ago. The next one is due when permits have held calls up for
      `trial_after_seconds`, of which `bound_seconds` have passed.
    """

    permits: float
    fits: int = 0
    fits_seconds: float = 0.0
    ease_seconds: float = 0.0
    trial: Trial | None = None
    tried_seconds: float = 0.0
    bound_seconds: float = 0.0
    trial_after_seconds: float = FIRST_TRIAL_SECONDS


def next_concurrency(
    known: Concurrency, seen: Observations, max_in_flight: int, *, rate_falls_short: bool
) -> Concurrency:
    """Update what is known by what was seen.

    `rate_falls_short`: fewer calls get through than the rate allows, so permits may be too few.
    """
    known = replace(known, permits=min(known.permits, float(max_in_flight)))
    if seen.crowded:
        return _after_too_many(known)
    if known.fits and seen.permits_bound:
        known = replace(known, fits_seconds=known.fits_seconds + seen.active_seconds)
    tried = known.tried_seconds + seen.seconds
    if not seen.call_seconds:
        return replace(known, tried_seconds=tried)
    ease = min(known.ease_seconds * EASE_GROWTH, seen.call_seconds) if known.ease_seconds else seen.call_seconds
    if known.trial:
        if tried < SETTLED_SECONDS + max(seen.call_seconds, known.trial.call_seconds_before):
            return replace(known, ease_seconds=ease, tried_seconds=tried)
        return _judged(known, known.trial, seen)
    bound = known.bound_seconds + (seen.seconds if seen.permits_bound else 0.0)
    known = replace(known, ease_seconds=ease, bound_seconds=bound)
    tries = bound >= known.trial_after_seconds or seen.call_seconds > CROWDED * ease
    if seen.permits_bound and known.permits >= 2 and tries:
        fewer = float(int(known.permits * TRIED))
        return replace(known, permits=fewer, trial=Trial(known.permits, seen.call_seconds), tried_seconds=0.0)
    if (seen.permits_bound or rate_falls_short) and seen.call_seconds < AT_EASE * ease:
        return _grown(known, max_in_flight)
    return known


def _after_too_many(known: Concurrency) -> Concurrency:
    """Halve the permits, or take one away if that number is known to fit."""
    tries_one_more = known.fits and int(known.permits) == known.fits + 1
    fewer = float(known.fits) if tries_one_more else max(1.0, known.permits / 2)
    return replace(
        known, permits=min(known.permits, fewer), trial=None, fits=max(1, int(known.permits) - 1), fits_seconds=0.0
    )


def _grown(known: Concurrency, max_in_flight: int) -> Concurrency:
    most = min(max_in_flight, _most_tried(known)) if known.fits else max_in_flight
    more = max(known.permits + 1, known.permits * MORE)
    return replace(known, permits=max(known.permits, float(min(most, more))))


def _most_tried(known: Concurrency) -> int:
    """Return how many permits may be tried after the account has refused too many: each such refusal blocks it for a minute."""
    return int(known.fits + (known.fits + 1) * (known.fits_seconds / CROWD_SECONDS) ** 3)


def _judged(known: Concurrency, trial: Trial, seen: Observations) -> Concurrency:
    """End a trial: find out whether fewer permits let as much through."""
    if not seen.permits_bound:  # nothing can be concluded
        return replace(known, permits=trial.permits_before, trial=None, bound_seconds=0.0)
    through = known.permits / int(trial.permits_before) * trial.call_seconds_before / seen.call_seconds
    if through >= AS_MUCH:
        # the next trial follows at once
        return replace(
            known,
            ease_seconds=seen.call_seconds,
            trial=None,
            bound_seconds=FIRST_TRIAL_SECONDS,
            trial_after_seconds=FIRST_TRIAL_SECONDS,
        )
    return replace(
        known,
        permits=trial.permits_before,
        ease_seconds=seen.call_seconds,
        trial=None,
        bound_seconds=0.0,
        trial_after_seconds=min(RAREST_TRIAL_SECONDS, 2 * known.trial_after_seconds),
    )
