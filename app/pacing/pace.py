"""How fast an account is called, and how many calls at once: learned from its answers, about once a second. Pure.

Nobody outside Salesforce knows an account's rate, others share it, and it changes; what is configured is a ceiling.

Rate. Additive increase, multiplicative decrease on refusals, in the shape of CUBIC (RFC 9438): a refusal tells what the account
accepts, which is measured, not guessed. The pace falls a little below it, comes nearly back to it, stays there for a while, and then
grows ever faster, to find out whether more is allowed by now. Time in which the rate held nothing up does not count (RFC 9438,
section 5.8: a sender that has little to send learns nothing about the limit).

Permits. How long calls take tells when the server begins to queue them (TCP Vegas; Netflix' gradient limiter). Where permits hold
calls up, and calls take twice as long as on a server at ease, or from time to time anyway, fewer are tried: if as much gets
through (calls at once by the time of a call, Little's law), the rest only made the server slower, and they stay away. If less
does, it was not our doing, and the longer time is what a call takes by now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.destinations.model import Limits

# Clocks drift and networks jitter; over a minute the server shall never count more than is allowed.
RATE_USED: Final = 0.995
LEAST_RATE: Final = 1 / 60  # calls per second: one a minute finds out whether the account is back

BACK_TO: Final = 0.95  # of what was accepted, after a refusal
RETURN_SECONDS: Final = 10.0  # until the pace is nearly what was accepted
STAY_AT: Final = 0.975  # what was accepted holds what the account lets pass as a burst
STAY_SECONDS: Final = 35.0  # until it grows beyond
CUBIC_GROWTH: Final = 5e-6  # of the accepted rate, per cubed second: twice the rate after another minute
GUESS_GROWTH: Final = 0.02  # a second: what is only a guess is soon put to the test
ECHO_SECONDS: Final = 0.4  # refusals of calls that were under way already tell nothing new
MEASURE_SECONDS: Final = 4.0  # less is too short to tell what is accepted
RECENT_SECONDS: Final = 5.0  # what is accepted is measured over about so long
BOUND_SHARE: Final = 0.5  # of that time calls must have waited for a start, or what was accepted is no measure
# Refusals that come too soon to measure anything: just after a measurement it was a little off, else who knows how far
NEAR_CUTS: Final = (0.96, 0.9)
FAR_CUT: Final = 0.8
SAME_WINDOW: Final = 1.25  # times as much or as little, from one refusal to the next
WINDOW_WAIT_SECONDS: Final = 10.0  # so long a wait is that of a window at once
# Where a refusal costs a wait many times as long as what was learned from it
COSTLY: Final = 4.0
COSTLY_CUT: Final = 0.5
STAY_WAITS: Final = 12.0  # times the wait that a refusal costs, before more is tried
LONGEST_STAY_SECONDS: Final = 60.0

REACHED: Final = 0.95  # of the pace: where less gets through, it is not the rate that holds calls up
CROWD_SECONDS: Final = 2_400.0  # of permits holding calls up, until twice as many are tried as were too many
CROWDED: Final = 2.0  # times as long as at ease: fewer at once
AT_EASE: Final = 1.5  # less than this: more at once
MORE: Final = 1.05
TRIED: Final = 0.7  # so many of the permits are left in a trial
# Until all that is seen was begun with so many, beside the time of a call: reports and looks come once a second
SETTLED_SECONDS: Final = 2.5
AS_MUCH: Final = 0.97
FIRST_TRIAL_SECONDS: Final = 5.0  # of permits holding calls up; twice as long after each trial that changed nothing
RAREST_TRIAL_SECONDS: Final = 960.0
EASE_GROWTH: Final = 1.002  # a look; what was quick once need not be so for ever


@dataclass(frozen=True, slots=True)
class Observations:
    """What all processes saw since the last look.

    `seconds` passed, of which the account was left alone for `waited_seconds` after a refusal. `throttled` calls were refused for the
    rate, `crowded` for too many at once. `call_seconds` is the mean of the accepted (0: none). `rate_bound` and `permits_bound` tell
    whether calls waited for a start, or for a permit.
    """

    seconds: float
    waited_seconds: float = 0.0
    accepted: int = 0
    throttled: int = 0
    crowded: int = 0
    call_seconds: float = 0.0
    rate_bound: bool = False
    permits_bound: bool = False

    @property
    def active_seconds(self) -> float:
        return max(0.0, self.seconds - self.waited_seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of an account.

    `calls_per_second` and `permits` hold now. `found` is the rate that was accepted when it last refused (0: it never did), `seconds`
    the time since then in which the rate was used, `active_seconds`, `waited_seconds` and `accepted` all that happened since, `recent`
    the rate accepted of late, `bound` the share of that time in which calls waited for a start. `near` counts refusals in a row that
    came too soon to measure anything; `guessed` tells that `found` is what they amount to, or a refusal while nothing waited.
    `window` is what was accepted up to the last refusal, the wait counted in (0: that was short), and `cost_seconds` that wait. `fits`
    permits were one fewer than the account called too many (0: it never did); `fits_seconds` is how long permits have held calls up
    since.
    `ease_seconds` is how long a call takes on a server at ease (0: not known), `trial` the permits and call time before a trial of
    fewer that goes on, `tried_seconds` since its begin; the next trial comes when permits have held calls up for
    `trial_after_seconds`, of which `bound_seconds` are over.
    """

    calls_per_second: float
    permits: float
    found: float = 0.0
    seconds: float = 0.0
    active_seconds: float = 0.0
    waited_seconds: float = 0.0
    accepted: int = 0
    recent: float = 0.0
    bound: float = 0.0
    near: int = 0
    guessed: bool = True
    window: float = 0.0
    cost_seconds: float = 0.0
    fits: int = 0
    fits_seconds: float = 0.0
    ease_seconds: float = 0.0
    trial: tuple[float, float] | None = None
    tried_seconds: float = 0.0
    bound_seconds: float = 0.0
    trial_after_seconds: float = FIRST_TRIAL_SECONDS

    @classmethod
    def at_first(cls, limits: Limits) -> Pace:
        """Nothing is known but what is configured."""
        return cls(calls_per_second=top_of(limits), permits=float(limits.max_in_flight))

    @property
    def learned(self) -> bool:
        """Whether the rate is what the account was found to accept, and not what is configured."""
        return self.found > 0


def next_pace(pace: Pace, seen: Observations, limits: Limits) -> Pace:
    """The pace after a look."""
    pace = replace(
        _with_recent(pace, seen),
        active_seconds=pace.active_seconds + seen.active_seconds,
        waited_seconds=pace.waited_seconds + seen.waited_seconds,
        accepted=pace.accepted + seen.accepted,
    )
    top = top_of(limits)
    if not pace.found:
        pace = replace(pace, calls_per_second=top)  # what is configured holds, also where it was less a moment ago
    pace = _after_refusal(pace) if seen.throttled else _grown(pace, seen)
    pace = _permits(pace, seen, limits)
    if pace.calls_per_second >= top:
        # all that is configured is accepted again: nothing learned is left to show
        pace = replace(pace, found=0.0, seconds=0.0, near=0, guessed=True, calls_per_second=top)
    return replace(pace, calls_per_second=max(pace.calls_per_second, min(LEAST_RATE, top)))


def top_of(limits: Limits) -> float:
    """Calls a second, at most."""
    return limits.calls_per_minute / 60 * RATE_USED


def _after_refusal(pace: Pace) -> Pace:
    if pace.active_seconds < ECHO_SECONDS or not pace.accepted:
        return pace
    waits_long = pace.waited_seconds > pace.active_seconds / 2 and pace.active_seconds >= MEASURE_SECONDS
    window = pace.accepted / (pace.active_seconds + pace.waited_seconds) if waits_long else 0.0
    is_same = bool(pace.window) and pace.window / SAME_WINDOW < window < pace.window * SAME_WINDOW
    if pace.active_seconds < MEASURE_SECONDS:
        guessed = pace.guessed or pace.near >= len(NEAR_CUTS)
        is_costly = pace.waited_seconds > COSTLY * max(1.0, pace.active_seconds)
        far = COSTLY_CUT if is_costly else FAR_CUT
        rate = pace.calls_per_second * (far if guessed else NEAR_CUTS[pace.near])
        found, near = rate / BACK_TO, pace.near + 1
    else:
        guessed, near = pace.bound < BOUND_SHARE, 0
        found = min(pace.calls_per_second, pace.recent)
        if guessed:
            # as many calls were made as there were: that they were accepted does not tell how many more would have been
            found = max(found, pace.calls_per_second * FAR_CUT / BACK_TO)
        elif is_same or (waits_long and pace.waited_seconds >= WINDOW_WAIT_SECONDS):
            # an account that makes us wait as long as we call, time and again, counts calls in a window; the wait is part of it
            found = min(found, window)
        rate = found * BACK_TO
    return replace(
        pace, calls_per_second=rate, found=found, near=near, guessed=guessed, window=window, cost_seconds=pace.waited_seconds,
        seconds=0.0, active_seconds=0.0, waited_seconds=0.0, accepted=0, recent=0.0, bound=0.0,
    )  # fmt: skip


def _with_recent(pace: Pace, seen: Observations) -> Pace:
    """With the means over the last seconds; over all there were, when those are fewer."""
    if not seen.active_seconds:
        return pace
    weight = min(1.0, seen.active_seconds / min(pace.active_seconds + seen.active_seconds, RECENT_SECONDS))
    return replace(
        pace,
        recent=(1 - weight) * pace.recent + weight * seen.accepted / seen.active_seconds,
        bound=(1 - weight) * pace.bound + weight * seen.rate_bound,
    )


def _grown(pace: Pace, seen: Observations) -> Pace:
    if not pace.found or not seen.rate_bound:
        return pace
    seconds = pace.seconds + seen.active_seconds
    share = growth(seconds, guessed=pace.guessed, stay_seconds=_stay_seconds(pace))
    # waits that come later make the stay longer, and the pace no less
    return replace(pace, seconds=seconds, calls_per_second=max(pace.calls_per_second, pace.found * share))


def _stay_seconds(pace: Pace) -> float:
    """Until more is tried: longer where a refusal makes the account wait for long."""
    cost_seconds = max(pace.cost_seconds, pace.waited_seconds)
    return min(LONGEST_STAY_SECONDS, max(STAY_SECONDS, STAY_WAITS * cost_seconds))


def growth(seconds: float, *, guessed: bool, stay_seconds: float = STAY_SECONDS) -> float:
    """The pace as a share of what was accepted, so long after the refusal; it stays there for about `stay_seconds`."""
    if guessed:
        return BACK_TO * (1 + GUESS_GROWTH * seconds)
    if seconds < RETURN_SECONDS:
        return BACK_TO + (STAY_AT - BACK_TO) * seconds / RETURN_SECONDS
    return STAY_AT + CUBIC_GROWTH * max(0.0, seconds - stay_seconds) ** 3


def _permits(pace: Pace, seen: Observations, limits: Limits) -> Pace:
    most = float(limits.max_in_flight)
    permits = min(pace.permits, most)
    if seen.crowded:
        fewer = float(pace.fits) if pace.fits and int(permits) == pace.fits + 1 else max(1.0, permits / 2)
        return replace(pace, permits=min(most, fewer), trial=None, fits=max(1, int(permits) - 1), fits_seconds=0.0)
    if pace.fits and seen.permits_bound:
        pace = replace(pace, fits_seconds=pace.fits_seconds + seen.active_seconds)
    tried = pace.tried_seconds + seen.seconds
    if not seen.call_seconds:
        return replace(pace, permits=permits, tried_seconds=tried)
    ease = min(pace.ease_seconds * EASE_GROWTH, seen.call_seconds) if pace.ease_seconds else seen.call_seconds
    if pace.trial:
        if tried < SETTLED_SECONDS + max(seen.call_seconds, pace.trial[1]):
            return replace(pace, permits=permits, ease_seconds=ease, tried_seconds=tried)
        return _judged(pace, seen, permits, *pace.trial)
    bound = pace.bound_seconds + (seen.seconds if seen.permits_bound else 0.0)
    pace = replace(pace, ease_seconds=ease, bound_seconds=bound)
    tries = bound >= pace.trial_after_seconds or seen.call_seconds > CROWDED * ease
    if seen.permits_bound and permits >= 2 and tries:
        fewer = float(int(permits * TRIED))
        return replace(pace, permits=fewer, trial=(permits, seen.call_seconds), tried_seconds=0.0)
    measured = pace.active_seconds > RECENT_SECONDS
    falls_short = seen.rate_bound and measured and pace.recent < REACHED * pace.calls_per_second
    if (seen.permits_bound or falls_short) and seen.call_seconds < AT_EASE * ease:
        most = min(most, _most_tried(pace)) if pace.fits else most
        permits = max(permits, min(most, max(permits + 1, permits * MORE)))
    return replace(pace, permits=permits)


def _most_tried(pace: Pace) -> float:
    """How many permits may be tried after an account has said what is too many: each such answer blocks it for a minute."""
    return float(int(pace.fits + (pace.fits + 1) * (pace.fits_seconds / CROWD_SECONDS) ** 3))


def _judged(pace: Pace, seen: Observations, permits: float, permits_before: float, seconds_before: float) -> Pace:
    """The end of a trial: whether fewer permits let as much through."""
    if not seen.permits_bound:  # nothing tells
        return replace(pace, permits=permits_before, trial=None, bound_seconds=0.0)
    through = permits / int(permits_before) * seconds_before / seen.call_seconds
    if through >= AS_MUCH:
        # and another trial follows at once
        return replace(
            pace, permits=permits, ease_seconds=seen.call_seconds, trial=None, bound_seconds=FIRST_TRIAL_SECONDS,
            trial_after_seconds=FIRST_TRIAL_SECONDS,
        )  # fmt: skip
    return replace(
        pace, permits=permits_before, ease_seconds=seen.call_seconds, trial=None, bound_seconds=0.0,
        trial_after_seconds=min(RAREST_TRIAL_SECONDS, 2 * pace.trial_after_seconds),
    )  # fmt: skip
