"""What follows from how a session ended, and whether a wake-up may work: tables."""

from __future__ import annotations

import pytest

from app.delivery.next_wake_up import Ending, WakeUpAction, choose_action, countdown_seconds, ending, lanes_to_wake
from app.delivery.work import Result
from app.destinations.state import State, Status
from app.errors import CallError, DestinationBroken, DestinationUnreachable
from app.keys import LANES

UNREACHABLE = DestinationUnreachable("away", code="outage")
BROKEN = DestinationBroken("no such field", code="mapping_broken")
LANE = 3


@pytest.mark.parametrize(
    ("status", "stopping", "may"),
    [
        (Status.ENABLED, False, WakeUpAction.WORK),
        (Status.DEGRADED, False, WakeUpAction.PROBE),
        (Status.STOPPED, False, WakeUpAction.PROBE),
        (Status.PAUSED, False, WakeUpAction.IGNORE),
        (Status.ENABLED, True, WakeUpAction.IGNORE),
        (Status.DEGRADED, True, WakeUpAction.IGNORE),
    ],
)
def test_what_a_wake_up_may_do(status: Status, stopping: bool, may: WakeUpAction) -> None:
    assert choose_action(State(status=status), stopping=stopping) is may


@pytest.mark.parametrize(
    ("result", "is_probe", "follows"),
    [
        (Result(), False, Ending()),
        (Result(answered=9), False, Ending()),
        (Result(answered=1), True, Ending(is_well=True)),
        (Result(answered=0), True, Ending()),  # the lane was empty, or its entries needed no call
        (Result(wait_seconds=5), False, Ending(wait_seconds=5)),
        (Result(answered=1, wait_seconds=5), True, Ending(wait_seconds=5)),  # an account that throttles proves nothing
        (Result(error=UNREACHABLE), False, Ending(trouble=Status.DEGRADED)),
        (Result(error=CallError("?", code="?")), False, Ending(trouble=Status.DEGRADED)),
        (Result(error=BROKEN), False, Ending(trouble=Status.STOPPED)),
        (Result(answered=1, error=BROKEN), True, Ending(trouble=Status.STOPPED)),
        (Result(error=UNREACHABLE, wait_seconds=5), False, Ending(trouble=Status.DEGRADED)),
        # what was seen of a destination that is another by now is not held against it
        (Result(error=BROKEN, epoch_ended=True), False, Ending(is_uncertain=True)),
        (Result(answered=1, epoch_ended=True), True, Ending(is_uncertain=True)),
    ],
)
def test_what_follows(result: Result, is_probe: bool, follows: Ending) -> None:
    assert ending(result, is_probe=is_probe) == follows


@pytest.mark.parametrize(
    ("moved_to", "is_well", "wakes"),
    [
        (set(), False, []),
        ({5, 1}, False, [1, 5]),
        ({1, LANE}, False, [1]),  # its own wake-up is told by letting go
        (set(), True, [lane for lane in range(LANES) if lane != LANE]),
        ({1, 5}, True, [lane for lane in range(LANES) if lane != LANE]),
    ],
)
def test_which_lanes_are_woken(moved_to: set[int], is_well: bool, wakes: list[int]) -> None:
    assert lanes_to_wake(Result(moved_to=frozenset(moved_to)), LANE, is_well=is_well) == wakes


@pytest.mark.parametrize(("wait", "countdown"), [(0.0, 0.1), (0.1, 0.1), (7.5, 7.5), (60.0, 60.0), (1200.0, 60.0)])
def test_how_long_a_wake_up_waits(wait: float, countdown: float) -> None:
    assert countdown_seconds(wait, at_least=0.1) == countdown
