"""Sets aside for replay what has waited for the whole retry window while the destination did not answer.

A stopped destination keeps its backlog instead: somebody has to act, however long that takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.backoff import is_exhausted, is_window_over
from app.delivery.plan import all_unknown
from app.destinations.state import State, Status
from app.errors import DestinationUnreachable, LeaseLost
from app.lanes.delivered import attribute_tag, decode, encode
from app.lanes.outcomes import Ledger, exhausted
from app.mapping.catalog import EMAIL_ADDRESS
from app.moments import hour_of

if TYPE_CHECKING:
    from app.lanes.entries import Entry
    from app.lanes.lane import Lane
    from app.resources import Resources
    from app.settings import Settings

_ADDRESS = attribute_tag(EMAIL_ADDRESS.qualified)


def is_due(state: State, now_ms: int, settings: Settings) -> bool:
    """Return whether the destination has failed to answer for the whole retry window and was probed often enough."""
    return state.status is Status.DEGRADED and is_exhausted(state.tries, state.since_ms, now_ms, settings)


def give_up_old(resources: Resources, lane: Lane, state: State, wake_up_token: str) -> None:
    """If giving up is due, turn the lane's old entries into failures, unless another worker holds the lane.

    `wake_up_token`: the token of the wake-up that the lane is left with.

    Raises: redis-py's errors.
    """
    settings, now_ms = resources.settings, resources.clock.now_ms()
    if not is_due(state, now_ms, settings):
        return
    error = exhausted(DestinationUnreachable(state.text, code=state.code, remedy=state.remedy), state.tries)
    ledger = Ledger(lane.destination_id, resources.ring, settings, resources.measures)
    try:
        if lane.open():
            given_up = [
                entry
                for entry in lane.waiting(most=settings.window_size)
                if is_window_over(entry.enqueued_ms, now_ms, settings)
            ]
            for entry in given_up:
                ledger.fail(entry, error, now_ms=now_ms)
            if ledger.pending:
                ledger.pending.delivered |= _rows_after(resources, lane, given_up, now_ms)
                lane.settling(ledger.take(), hour=hour_of(now_ms)).run(resources.redis)
    except LeaseLost:
        pass  # nothing was settled: the entries are unchanged
    finally:  # also if it is unknown whether the lane was opened; no effect if another worker holds it
        lane.release(wake_up_seconds=settings.wake_up_seconds, wake_up_token=wake_up_token)


def _rows_after(resources: Resources, lane: Lane, given_up: list[Entry], now_ms: int) -> dict[bytes, bytes]:
    """Return the delivered rows of contacts whose entries are given up, where that changes them.

    What a worker that is gone may have called with is unknown, and an address whose call was not answered is not tried again.
    """
    after = {}
    recovering, stamps = lane.recovering(), {entry.origin.stamp for entry in given_up}
    tags = {entry.origin.tag for entry in given_up}
    for tag, raw in lane.delivered([*tags]).run(resources.redis).items():
        row = before = decode(raw)
        if tag in recovering:
            row = all_unknown(row)
        address = row.get(_ADDRESS)
        if address is not None and address.is_tried_again and address.order[1:] in stamps:
            row = row | {_ADDRESS: address.given_up()}
        if row != before:
            after[tag] = encode(row, now_ms)
    return after
