"""Whether a wake-up is to work at its destination, and what follows when its session has ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.destinations.state import Status
from app.errors import DestinationBroken
from app.keys import LANES

if TYPE_CHECKING:
    from app.delivery.work import Result
    from app.destinations.state import State

LONGEST_COUNTDOWN_SECONDS = 60.0  # far below the broker's visibility timeout, or a waiting wake-up would run twice


class WakeUpAction(StrEnum):
    """What a wake-up does at its destination."""

    WORK = "work"
    PROBE = "probe"  # make one call, if it is time for one and nobody else makes it
    IGNORE = "ignore"


def choose_action(state: State, *, stopping: bool) -> WakeUpAction:
    """What to do at a destination of this state, in a process that is `stopping` or not."""
    if stopping or state.status is Status.PAUSED:
        return WakeUpAction.IGNORE
    return WakeUpAction.PROBE if state.on_probation else WakeUpAction.WORK


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session leaves its destination and its lane.

    `trouble`: the status that the destination gets for the session's error; its state then says when the lane comes back. Otherwise
    that is after `wait_seconds` (None: at once, if anything is left). `is_well`: a probe was answered. `is_uncertain`: what became of
    the last steps is not known, or counts no more.
    """

    trouble: Status | None = None
    wait_seconds: float | None = None
    is_well: bool = False
    is_uncertain: bool = False


def ending(result: Result, *, is_probe: bool) -> Ending:
    """What follows from how a session, or a probe, has ended."""
    if result.epoch_ended:
        return Ending(is_uncertain=True)
    if result.error is not None:
        return Ending(trouble=Status.STOPPED if isinstance(result.error, DestinationBroken) else Status.DEGRADED)
    if result.wait_seconds:
        return Ending(wait_seconds=result.wait_seconds)
    return Ending(is_well=is_probe and result.answered > 0)


def lanes_to_wake(result: Result, lane: int, *, is_well: bool) -> list[int]:
    """The other lanes that are to be woken: all if the destination has become well, else those that got entries of this one."""
    return [number for number in range(LANES) if number != lane and (is_well or number in result.moved_to)]


def countdown_seconds(wait_seconds: float, *, at_least: float) -> float:
    """The countdown of a wake-up that is to come back after so long; a long wait takes several."""
    return min(max(wait_seconds, at_least), LONGEST_COUNTDOWN_SECONDS)
