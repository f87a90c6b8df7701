"""Decides whether a wake-up works on its destination, and what follows when its session has ended. Pure."""

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
    """What a wake-up does for its destination."""

    WORK = "work"
    PROBE = "probe"  # make one call, if it is due and nobody else makes it
    IGNORE = "ignore"


def choose_action(state: State, *, stopping: bool) -> WakeUpAction:
    """Return what to do for a destination in this state. `stopping`: this process is shutting down."""
    if stopping or state.status is Status.PAUSED:
        return WakeUpAction.IGNORE
    return WakeUpAction.PROBE if state.on_probation else WakeUpAction.WORK


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session leaves its destination and its lane.

    `trouble`: the status that the session's error gives the destination; that state then says when the lane comes back.
    `wait_seconds`: otherwise, when the lane comes back; None: at once, if anything is left.
    `is_well`: a probe was answered.
    `is_uncertain`: the result of the last steps is unknown or no longer counts.
    """

    trouble: Status | None = None
    wait_seconds: float | None = None
    is_well: bool = False
    is_uncertain: bool = False


def ending(result: Result, *, is_probe: bool) -> Ending:
    """Return what follows from the end of a session or probe."""
    if result.epoch_ended:
        return Ending(is_uncertain=True)
    if result.error is not None:
        return Ending(trouble=Status.STOPPED if isinstance(result.error, DestinationBroken) else Status.DEGRADED)
    if result.wait_seconds:
        return Ending(wait_seconds=result.wait_seconds)
    return Ending(is_well=is_probe and result.answered > 0)


def lanes_to_wake(result: Result, lane: int, *, is_well: bool) -> list[int]:
    """Return the other lanes to wake: all if the destination has recovered, else those that got entries from this one."""
    return [number for number in range(LANES) if number != lane and (is_well or number in result.moved_to)]


def countdown_seconds(wait_seconds: float, *, at_least: float) -> float:
    """Return the countdown of a wake-up that is to come back after `wait_seconds`; a long wait takes several countdowns."""
    return min(max(wait_seconds, at_least), LONGEST_COUNTDOWN_SECONDS)
