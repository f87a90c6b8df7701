"""When nobody has answered for the whole retry window, what has waited that long is set aside for replay.

A stopped destination keeps its backlog: there someone has to act, however long that takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.backoff import is_exhausted, is_window_over
from app.destinations.state import State, Status
from app.errors import DestinationUnreachable, LeaseLost
from app.lanes.outcomes import Ledger, exhausted

if TYPE_CHECKING:
    from app.lanes.lane import Lane
    from app.resources import Resources
    from app.settings import Settings


def is_due(state: State, now_ms: int, settings: Settings) -> bool:
    """Whether the destination has not answered for the whole retry window, and was probed often enough."""
    return state.status is Status.DEGRADED and is_exhausted(state.tries, state.since_ms, now_ms, settings)


def give_up_old(resources: Resources, lane: Lane, state: State, wake_up_token: str) -> None:
    """If that is due, make failures of the lane's old entries, unless another worker holds it; the lane is left with this token.

    Raises redis-py's errors.
    """
    settings, now_ms = resources.settings, resources.clock.now_ms()
    if not is_due(state, now_ms, settings):
        return
    error = exhausted(DestinationUnreachable(state.text, code=state.code, remedy=state.remedy), state.tries)
    ledger = Ledger(lane.destination_id, resources.ring, settings, resources.measures)
    try:
        if lane.open():
            for entry in lane.waiting(most=settings.window_size):
                if is_window_over(entry.enqueued_ms, now_ms, settings):
                    ledger.fail(entry, error, now_ms=now_ms)
            if ledger.pending:
                lane.settling(ledger.take(), hour=now_ms // 3_600_000).run(resources.redis)
    except LeaseLost:
        pass  # nothing was settled: the entries are as they were
    finally:  # also when it is not known whether the lane was opened; where another holds it, nothing happens
        lane.release(wake_up_seconds=settings.wake_up_seconds, wake_up_token=wake_up_token)
