"""What is learned about an account: how fast to call it (`rate.py`) and how many calls to make at once (`concurrency.py`).
Pure.

Nobody outside Salesforce knows an account's rate, others share it, and it changes; what is configured is a ceiling.
"""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from app.pacing.concurrency import Concurrency, Trial, next_concurrency
from app.pacing.rate import Rate, falls_short, next_rate, top_of, within

if TYPE_CHECKING:
    from app.destinations.model import Limits
    from app.pacing.observations import Observations

_FORMAT = 1
_T = TypeVar("_T", Rate, Concurrency)


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of an account."""

    rate: Rate
    concurrency: Concurrency

    @classmethod
    def at_first(cls, limits: Limits) -> Pace:
        """Return the pace when nothing is known but the configuration."""
        return cls(Rate(top_of(limits)), Concurrency(float(limits.max_in_flight)))


def next_pace(pace: Pace, seen: Observations, limits: Limits) -> Pace:
    """Update the pace by what was seen."""
    top = top_of(limits)
    rate = next_rate(pace.rate, seen, top)
    concurrency = next_concurrency(
        pace.concurrency, seen, limits.max_in_flight, rate_falls_short=falls_short(rate, seen)
    )
    return Pace(within(rate, top), concurrency)


# -- as Redis keeps it -------------------------------------------------------------------------------------------------


def to_bytes(pace: Pace) -> bytes:
    """Serialise both parts as one flat record."""
    trial = pace.concurrency.trial
    flat = asdict(pace.rate) | asdict(pace.concurrency) | {"trial": astuple(trial) if trial else None}
    return orjson.dumps([_FORMAT, flat])


def from_bytes(raw: bytes | None, limits: Limits) -> Pace:
    """Read what was learned. What is missing or unreadable is as at first; unknown fields are ignored."""
    first = Pace.at_first(limits)
    try:
        number, flat = orjson.loads(raw or b"[0, {}]")
        if number != _FORMAT:
            return first
        if trial := flat.get("trial"):
            flat["trial"] = Trial(*trial)
        return Pace(_with(first.rate, flat), _with(first.concurrency, flat))
    except (ValueError, TypeError, AttributeError):
        return first


def _with(known: _T, flat: dict[str, Any]) -> _T:
    return replace(known, **{field.name: flat[field.name] for field in fields(known) if field.name in flat})
