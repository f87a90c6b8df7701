"""How fast an account is called, learned from its answers about once a second. Pure.

Additive increase, multiplicative decrease on refusals, in the shape of CUBIC (RFC 9438): a refusal tells what the account
accepts, which is measured, not guessed. The rate falls a little below it, comes nearly back to it, stays there for a while, and
then grows ever faster, to find out whether more is allowed by now. Time in which the rate held nothing up does not count (RFC
9438, section 5.8: a sender that has little to send learns nothing about the limit).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.destinations.model import Limits
    from app.pacing.observations import Observations

# Clocks drift and networks jitter; over a minute the server shall never count more than is allowed.
RATE_USED: Final = 0.995
LEAST_RATE: Final = 1 / 60  # calls per second: one a minute finds out whether the account is back

BACK_TO: Final = 0.95  # of what was accepted, after a refusal
RETURN_SECONDS: Final = 10.0  # until it is nearly what was accepted
STAY_AT: Final = 0.975  # what was accepted includes what the account let pass as a burst
STAY_SECONDS: Final = 35.0  # until it grows beyond
CUBIC_GROWTH: Final = 5e-6  # of the accepted rate, per cubed second: twice the rate after another minute
GUESS_GROWTH: Final = 0.02  # a second: what is only a guess is soon put to the test
ECHO_SECONDS: Final = 0.4  # refusals of calls that were already under way tell nothing new
MEASURE_SECONDS: Final = 4.0  # less is too short to tell what is accepted
RECENT_SECONDS: Final = 5.0  # what is accepted is measured over about this long
BOUND_SHARE: Final = 0.5  # of that time calls must have waited for a start, or what was accepted is no measure
# Refusals that come too soon to measure anything: just after a measurement it was a little off, else who knows how far
NEAR_CUTS: Final = (0.96, 0.9)
FAR_CUT: Final = 0.8
SAME_WINDOW: Final = 1.25  # times as much or as little, from one refusal to the next
WINDOW_WAIT_SECONDS: Final = 10.0  # a wait this long is taken for that of a window at once
# Where a refusal costs a wait many times as long as what was learned from it
COSTLY: Final = 4.0
COSTLY_CUT: Final = 0.5
STAY_WAITS: Final = 12.0  # times the wait that a refusal costs, before more is tried
LONGEST_STAY_SECONDS: Final = 60.0

REACHED: Final = 0.95  # of the rate: where less gets through, something else holds calls up


@dataclass(frozen=True, slots=True)
class Rate:
    """What is known of the rate that an account accepts.

    `calls_per_second` holds now. `found` was accepted when the account last refused (0: it never did). Since then: `seconds` in which
    the rate was used, and all `active_seconds`, `waited_seconds` and `accepted` calls. `recent` is the rate accepted of late, `bound`
    the share of that time in which calls waited for a start.

    `near` counts refusals in a row that came too soon to measure anything; `guessed`: `found` is what they amount to, or comes from a
    refusal while nothing waited. `window` is the rate accepted up to the last refusal, the wait counted in (0: that was short), and
    `cost_seconds` that wait.
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
        """Whether it is what the account was found to accept, and not what is configured."""
        return self.found > 0


def top_of(limits: Limits) -> float:
    """Calls a second, at most."""
    return limits.calls_per_minute / 60 * RATE_USED


def next_rate(rate: Rate, seen: Observations, top: float) -> Rate:
    """The rate after what was seen; it may be above `top` until it is kept `within` it."""
    rate = replace(
        _with_recent(rate, seen),
        active_seconds=rate.active_seconds + seen.active_seconds,
        waited_seconds=rate.waited_seconds + seen.waited_seconds,
        accepted=rate.accepted + seen.accepted,
    )
    if not rate.found:
        rate = replace(rate, calls_per_second=top)  # what is configured holds, also where it was less a moment ago
    return _after_refusal(rate) if seen.throttled else _grown(rate, seen)


def within(rate: Rate, top: float) -> Rate:
    """The rate, never above `top` and never zero."""
    if rate.calls_per_second >= top:
        # all that is configured is accepted again: nothing learned is left to show
        rate = replace(rate, found=0.0, seconds=0.0, near=0, guessed=True, calls_per_second=top)
    return replace(rate, calls_per_second=max(rate.calls_per_second, min(LEAST_RATE, top)))


def falls_short(rate: Rate, seen: Observations) -> bool:
    """Whether less gets through than the rate lets, while calls wait for a start."""
    return seen.rate_bound and rate.active_seconds > RECENT_SECONDS and rate.recent < REACHED * rate.calls_per_second


def _after_refusal(rate: Rate) -> Rate:
    if rate.active_seconds < ECHO_SECONDS or not rate.accepted:
        return rate
    is_measured = rate.active_seconds >= MEASURE_SECONDS
    waits_long = is_measured and rate.waited_seconds > rate.active_seconds / 2
    window = rate.accepted / (rate.active_seconds + rate.waited_seconds) if waits_long else 0.0
    return replace(
        _measured(rate, window) if is_measured else _guessed(rate), window=window, cost_seconds=rate.waited_seconds,
        seconds=0.0, active_seconds=0.0, waited_seconds=0.0, accepted=0, recent=0.0, bound=0.0,
    )  # fmt: skip


def _guessed(rate: Rate) -> Rate:
    """Cut by a step, after a refusal that came too soon to measure anything."""
    guessed = rate.guessed or rate.near >= len(NEAR_CUTS)
    is_costly = rate.waited_seconds > COSTLY * max(1.0, rate.active_seconds)
    far = COSTLY_CUT if is_costly else FAR_CUT
    calls_per_second = rate.calls_per_second * (far if guessed else NEAR_CUTS[rate.near])
    return replace(
        rate, calls_per_second=calls_per_second, found=calls_per_second / BACK_TO, near=rate.near + 1, guessed=guessed
    )  # fmt: skip


def _measured(rate: Rate, window: float) -> Rate:
    """A little below what was accepted, of late or over the whole `window`."""
    guessed = rate.bound < BOUND_SHARE
    is_same = bool(rate.window) and rate.window / SAME_WINDOW < window < rate.window * SAME_WINDOW
    found = min(rate.calls_per_second, rate.recent)
    if guessed:
        # as many calls were made as there were: that they were accepted does not tell how many more would have been
        found = max(found, rate.calls_per_second * FAR_CUT / BACK_TO)
    elif is_same or (window and rate.waited_seconds >= WINDOW_WAIT_SECONDS):
        # an account that makes us wait as long as we call, time and again, counts calls in a window; the wait is part of it
        found = min(found, window)
    return replace(rate, calls_per_second=found * BACK_TO, found=found, near=0, guessed=guessed)


def _with_recent(rate: Rate, seen: Observations) -> Rate:
    """With the means over the last seconds, or over all since the refusal, if they are fewer."""
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
    # waits that come later make the stay longer, and the rate no less
    return replace(rate, seconds=seconds, calls_per_second=max(rate.calls_per_second, rate.found * share))


def _stay_seconds(rate: Rate) -> float:
    """Until more is tried: longer where a refusal makes the account wait for long."""
    cost_seconds = max(rate.cost_seconds, rate.waited_seconds)
    return min(LONGEST_STAY_SECONDS, max(STAY_SECONDS, STAY_WAITS * cost_seconds))


def growth(seconds: float, *, guessed: bool, stay_seconds: float) -> float:
    """The rate as a share of what was accepted, `seconds` after the refusal; it stays near that until `stay_seconds`."""
    if guessed:
        return BACK_TO * (1 + GUESS_GROWTH * seconds)
    if seconds < RETURN_SECONDS:
        return BACK_TO + (STAY_AT - BACK_TO) * seconds / RETURN_SECONDS
    return STAY_AT + CUBIC_GROWTH * max(0.0, seconds - stay_seconds) ** 3
