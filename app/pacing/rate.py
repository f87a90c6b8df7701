"""How fast to call an account, learned from its answers about once a second. Pure.

The rate grows additively and falls multiplicatively on refusals, in the shape of CUBIC (RFC 9438). A refusal shows what the
account accepts, which is measured, not guessed. The rate drops a little below that, returns nearly to it, stays for a
while, and then grows ever faster to find out whether more is allowed by now. Time in which the rate held nothing up does
not count (RFC 9438, section 5.8: a sender that has little to send learns nothing about the limit).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.destinations.model import Limits
    from app.pacing.observations import Observations

# Clocks drift and networks jitter; even so, the server must never count more than allowed in a minute.
RATE_USED: Final = 0.995
LEAST_RATE: Final = 1 / 60  # calls per second: one a minute shows whether the account is back

BACK_TO: Final = 0.95  # of what was accepted, after a refusal
RETURN_SECONDS: Final = 10.0  # until the rate is nearly what was accepted
STAY_AT: Final = 0.975  # of what was accepted, which includes what passed as a burst
STAY_SECONDS: Final = 35.0  # until the rate grows beyond
CUBIC_GROWTH: Final = 5e-6  # of the accepted rate, per cubed second: twice the rate after another minute
GUESS_GROWTH: Final = 0.02  # per second: a mere guess is soon put to the test
ECHO_SECONDS: Final = 0.4  # sooner refusals are of calls already under way and say nothing new
MEASURE_SECONDS: Final = 4.0  # less is too short to measure what is accepted
RECENT_SECONDS: Final = 5.0  # the period over which acceptance is measured
BOUND_SHARE: Final = 0.5  # share of that time in which calls must have waited, or acceptance says nothing
# Cuts after refusals that come too soon to measure: just after a measurement it was a little off, else possibly far off
NEAR_CUTS: Final = (0.96, 0.9)
FAR_CUT: Final = 0.8
SAME_WINDOW: Final = 1.25  # the largest ratio between the windows of two refusals
WINDOW_WAIT_SECONDS: Final = 10.0  # after a wait this long, one refusal suffices to assume a window
# If a refusal costs a wait many times as long as the time it measured
COSTLY: Final = 4.0
COSTLY_CUT: Final = 0.5
STAY_WAITS: Final = 12.0  # multiples of a refusal's wait before more is tried
LONGEST_STAY_SECONDS: Final = 60.0

REACHED: Final = 0.95  # of the rate: if less gets through, something else holds calls up


@dataclass(frozen=True, slots=True)
class Rate:
    """What is known of the rate that an account accepts.

    `calls_per_second`: the current rate. `found`: the rate accepted when the account last refused (0: it never did).
    Since that refusal: `seconds` in which the rate was used, and all `active_seconds`, `waited_seconds` and `accepted`
    calls.
    `recent`: the rate accepted lately; `bound`: the share of that time in which calls waited for a start.
    `near`: refusals in a row that came too soon to measure anything. `guessed`: `found` results from those, or from a
      refusal while nothing waited.
    `window`: the rate accepted up to the last refusal, including the wait (0: the wait was short); `cost_seconds`: that
      wait.
    """

    calls_per_second: float
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

    @property
    def learned(self) -> bool:
        """Whether the rate is what the account was found to accept, rather than what is configured."""
        return self.found > 0


def top_of(limits: Limits) -> float:
    """Return the highest rate that the limits allow, in calls per second."""
    return limits.calls_per_minute / 60 * RATE_USED


def next_rate(rate: Rate, seen: Observations, top: float) -> Rate:
    """Update the rate by what was seen; pass the result to `within`, since it may be above `top`."""
    rate = replace(
        _with_recent(rate, seen),
        active_seconds=rate.active_seconds + seen.active_seconds,
        waited_seconds=rate.waited_seconds + seen.waited_seconds,
        accepted=rate.accepted + seen.accepted,
    )
    if not rate.found:
        rate = replace(rate, calls_per_second=top)  # the configured rate holds, even if it was lower a moment ago
    return _after_refusal(rate) if seen.throttled else _grown(rate, seen)


def within(rate: Rate, top: float) -> Rate:
    """Return the rate, never above `top` and never zero."""
    if rate.calls_per_second >= top:
        # all that is configured is accepted again, so what was learned is obsolete
        rate = replace(rate, found=0.0, seconds=0.0, near=0, guessed=True, calls_per_second=top)
    return replace(rate, calls_per_second=max(rate.calls_per_second, min(LEAST_RATE, top)))


def falls_short(rate: Rate, seen: Observations) -> bool:
    """Return whether fewer calls get through than the rate allows while calls wait for a start."""
    return seen.rate_bound and rate.active_seconds > RECENT_SECONDS and rate.recent < REACHED * rate.calls_per_second


def _after_refusal(rate: Rate) -> Rate:
    if rate.active_seconds < ECHO_SECONDS or not rate.accepted:
        return rate
    is_measured = rate.active_seconds >= MEASURE_SECONDS
    waits_long = is_measured and rate.waited_seconds > rate.active_seconds / 2
    window = rate.accepted / (rate.active_seconds + rate.waited_seconds) if waits_long else 0.0
    return replace(
        _measured(rate, window) if is_measured else _guessed(rate),
        window=window,
        cost_seconds=rate.waited_seconds,
        seconds=0.0,
        active_seconds=0.0,
        waited_seconds=0.0,
        accepted=0,
        recent=0.0,
        bound=0.0,
    )


def _guessed(rate: Rate) -> Rate:
    """Cut the rate by a step after a refusal that came too soon to measure anything."""
    guessed = rate.guessed or rate.near >= len(NEAR_CUTS)
    is_costly = rate.waited_seconds > COSTLY * max(1.0, rate.active_seconds)
    far = COSTLY_CUT if is_costly else FAR_CUT
    calls_per_second = rate.calls_per_second * (far if guessed else NEAR_CUTS[rate.near])
    return replace(
        rate, calls_per_second=calls_per_second, found=calls_per_second / BACK_TO, near=rate.near + 1, guessed=guessed
    )


def _measured(rate: Rate, window: float) -> Rate:
    """Set the rate a little below what was accepted, lately or over the whole `window`."""
    guessed = rate.bound < BOUND_SHARE
    is_same = bool(rate.window) and rate.window / SAME_WINDOW < window < rate.window * SAME_WINDOW
    found = min(rate.calls_per_second, rate.recent)
    if guessed:
        # nothing was waiting, so acceptance does not show how many more calls would have been accepted
        found = max(found, rate.calls_per_second * FAR_CUT / BACK_TO)
    elif is_same or (window and rate.waited_seconds >= WINDOW_WAIT_SECONDS):
        # an account that repeatedly makes us wait as long as we call counts calls in a window, which includes the wait
        found = min(found, window)
    return replace(rate, calls_per_second=found * BACK_TO, found=found, near=0, guessed=guessed)


def _with_recent(rate: Rate, seen: Observations) -> Rate:
    """Update the means over the last seconds, or over all since the refusal if they are fewer."""
    if not seen.active_seconds:
        return rate
    weight = min(1.0, seen.active_seconds / min(rate.active_seconds + seen.active_seconds, RECENT_SECONDS))
    return replace(
        rate,
        recent=(1 - weight) * rate.recent + weight * seen.accepted / seen.active_seconds,
        bound=(1 - weight) * rate.bound + weight * seen.rate_bound,
    )


def _grown(rate: Rate, seen: Observations) -> Rate:
    if not rate.found or not seen.rate_bound:
        return rate
    seconds = rate.seconds + seen.active_seconds
    share = growth(seconds, guessed=rate.guessed, stay_seconds=_stay_seconds(rate))
    # later waits prolong the stay but do not lower the rate
    return replace(rate, seconds=seconds, calls_per_second=max(rate.calls_per_second, rate.found * share))


def _stay_seconds(rate: Rate) -> float:
    """Return how long to stay before trying more: longer if a refusal makes the account wait long."""
    cost_seconds = max(rate.cost_seconds, rate.waited_seconds)
    return min(LONGEST_STAY_SECONDS, max(STAY_SECONDS, STAY_WAITS * cost_seconds))


def growth(seconds: float, *, guessed: bool, stay_seconds: float) -> float:
    """Return the rate as a share of what was accepted, `seconds` after the refusal; it stays near that until `stay_seconds`."""
    if guessed:
        return BACK_TO * (1 + GUESS_GROWTH * seconds)
    if seconds < RETURN_SECONDS:
        return BACK_TO + (STAY_AT - BACK_TO) * seconds / RETURN_SECONDS
    return STAY_AT + CUBIC_GROWTH * max(0.0, seconds - stay_seconds) ** 3
