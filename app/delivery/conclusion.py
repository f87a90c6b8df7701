"""Concludes a session: notes its destination's state, lets go of its lane and wakes others."""

from __future__ import annotations

import logging
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

from app.delivery.next_wake_up import countdown_seconds, ending, lanes_to_wake
from app.delivery.work import WakeUpResult
from app.lanes.lane import announce_wake_ups

if TYPE_CHECKING:
    from app.delivery.abandoned import Abandoned
    from app.delivery.leads import Leads
    from app.delivery.work import Result
    from app.destinations.model import Destination
    from app.destinations.state import State, Status
    from app.errors import CallError
    from app.lanes.lane import Lane
    from app.resources import Resources

log = logging.getLogger(__name__)


class Conclusion:
    """Carries out what `app.delivery.next_wake_up` decides."""

    def __init__(self, resources: Resources, leads: Leads, abandoned: Abandoned) -> None:
        self._redis = resources.redis
        self._states = resources.states
        self._leads = leads
        self._abandoned = abandoned
        self._wake_up_seconds = resources.settings.wake_up_seconds

    def conclude(
        self, lane: Lane, destination: Destination, result: Result, state: State, *, is_probe: bool
    ) -> WakeUpResult:
        """Conclude a session. `state`: the destination's state when the session began."""
        probe_token = lane.token if is_probe else ""
        end = ending(result, is_probe=is_probe)
        wait_seconds = end.wait_seconds
        if end.trouble is not None and result.error is not None:
            wait_seconds = self._note(destination, result.error, end.trouble, state, probe_token)
        is_well = end.is_well and self._states.succeed(destination.id, probe_token)
        if is_well:
            log.info("%s answers again; delivery goes on.", destination.id)
        seconds = self._wake_up_seconds
        if end.is_uncertain:
            left = self.leave(lane)
        elif wait_seconds is not None:
            left = self._let_go(lane, wait_seconds)
        else:
            left = WakeUpResult((lane.number,) if lane.release(wake_up_seconds=seconds) else ())
        others = lanes_to_wake(result, lane.number, is_well=is_well)
        woken = announce_wake_ups(self._redis, destination.id, others, wake_up_seconds=seconds)
        return replace(left, wake=(*left.wake, *woken), worker=self._leads.leader(destination.account.key))

    def leave(self, lane: Lane, *, blame: bool = False) -> WakeUpResult:
        """Leave a lane whose last steps are uncertain. `blame`: an entry made this worker fail."""
        return WakeUpResult((lane.number,)) if self._abandoned.leave(lane, blame=blame) else WakeUpResult()

    def postpone(self, lane: Lane, wake_up_token: str, wait_seconds: float) -> WakeUpResult:
        """Let the wake-up with this token come back after `wait_seconds`, unless the lane has another one."""
        countdown, new_token = countdown_seconds(wait_seconds, at_least=1.0), token_hex(8)
        if lane.postpone(wake_up_token, new_token, wake_up_seconds=countdown + self._wake_up_seconds):
            return WakeUpResult(come_back_seconds=countdown, wake_up_token=new_token)
        return WakeUpResult()

    def _note(
        self, destination: Destination, error: CallError, trouble: Status, state: State, probe_token: str
    ) -> float:
        """Note an error of the destination; returns for how many seconds its lanes wait."""
        state, news = self._states.fail(
            destination.id, error, status=trouble, generation=state.generation, probe=probe_token
        )
        if news:
            log.error("%s is %s: %s %s", destination.id, state.status, error, error.remedy)
        return state.wait_seconds

    def _let_go(self, lane: Lane, wait_seconds: float) -> WakeUpResult:
        """Release the lane; if anything is left in it, let the wake-up come back after `wait_seconds`."""
        countdown, wake_up_token = countdown_seconds(wait_seconds, at_least=0.1), token_hex(8)
        if lane.release(wake_up_seconds=countdown + self._wake_up_seconds, wake_up_token=wake_up_token):
            return WakeUpResult(come_back_seconds=countdown, wake_up_token=wake_up_token)
        return WakeUpResult()
