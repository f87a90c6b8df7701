"""One sweep: for every destination its sleeping lanes, its bounds and its alerts.

A sweep is safe to run at any time, and by several beats at once; a short guard in Redis avoids doing the same work twice.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.broker import purge_queue, queue_lengths, worker_queue
from app.destinations.state import State, Status
from app.errors import ActivationError, SealBroken, ServiceUnreachable, UnknownDestination
from app.keys import LANES, SWEEP
from app.lanes.lane import announce_wake_ups
from app.lua import write
from app.queues import DELIVERY_QUEUE
from app.reporting.alerts import forget_alerts_of, forget_ended_mutes
from app.reporting.processes import end_process, long_gone_processes, note_sweep
from app.reporting.totals import fold_runs
from app.sweep.alerts import Judgement
from app.sweep.retention import bound_failures, clean_lane, forget_old_jobs

if TYPE_CHECKING:
    from app.resources import Resources
    from app.wake_ups import Waker

_BEGUN = time.monotonic()  # of this process

log = logging.getLogger(__name__)


def sweep(resources: Resources, waker: Waker) -> int:
    """Look after every destination; returns how many lanes were woken."""
    settings = resources.settings
    guard_ms = int(settings.sweep_seconds * 500)
    if guard_ms and not _first(resources, guard_ms):
        return 0
    now_ms = resources.clock.now_ms()
    note_sweep(resources.redis, now_ms=now_ms)
    woken = 0
    connected = resources.destinations.ids()
    judgement = Judgement(resources)
    room = _Room(settings.celery_broker_url, most=LANES * len(connected))
    for destination_id in connected:
        try:
            state = resources.states.get(destination_id)
            if may_wake(state) and room.is_there():
                lanes = announce_wake_ups(
                    resources.redis, destination_id, range(LANES), wake_up_seconds=settings.wake_up_seconds
                )
                waker.wake(destination_id, lanes)
                woken += len(lanes)
            bound_failures(resources, destination_id)
            forget_old_jobs(resources, destination_id)
            fold_runs(resources.redis, destination_id, now_ms)
            locked = False
            try:
                clean_lane(resources, resources.destinations.get(destination_id))
            except SealBroken as error:
                state, locked = unreadable(state, error), True
            judgement.look_at(destination_id, state, unreadable=locked)
        except UnknownDestination:
            continue  # disconnected meanwhile
        except ActivationError as error:
            log.error("Sweeping %s: %s %s", destination_id, error, error.remedy)  # noqa: TRY400  # the text says it all
    judgement.conclude(connected, up_seconds=time.monotonic() - _BEGUN)
    forget_alerts_of(resources.redis, connected)
    forget_ended_mutes(resources.redis, now_ms=now_ms)
    for process in long_gone_processes(resources.redis, now_ms=now_ms):
        _forget(resources, process)
    return woken


class _Room:
    """Finds out, when first asked, whether more wake-ups are useful.

    A wake-up that waits long for its worker counts as lost. Without a bound another would replace it again and again, until
    others wait behind them for hours.
    """

    def __init__(self, broker_url: str, *, most: int) -> None:
        self._broker_url = broker_url
        self._most = most
        self._found: bool | None = None

    def is_there(self) -> bool:
        if self._found is None:
            try:
                self._found = queue_lengths(self._broker_url, (DELIVERY_QUEUE,))[DELIVERY_QUEUE] < self._most
            except ServiceUnreachable:
                self._found = True  # sending will report it
        return self._found


def _forget(resources: Resources, process: str) -> None:
    """Forget a dead worker, and purge its own queue: wake-ups left there would stay forever, and others have replaced them."""
    try:
        purge_queue(resources.settings.celery_broker_url, worker_queue(process).name)
    except ServiceUnreachable as error:
        log.warning("What %s has left in its queue stays for now: %s", process, error)
    else:
        end_process(resources.redis, process)


def _first(resources: Resources, guard_ms: int) -> bool:
    """Return whether nobody else has swept within the guard.

    A guard that lasts longer dates from before Redis's clock stepped back.
    """
    left_ms: Any = resources.redis.pttl(SWEEP)
    if 0 <= left_ms <= guard_ms:
        return False
    return write(resources.redis, ("SET", SWEEP, "1", "PX", guard_ms), keys=[SWEEP])


def unreadable(state: State, error: SealBroken) -> State:
    """Return the state to show for a destination that no key opens: it stands still until somebody acts, whatever its state."""
    code = "seal_tampered" if error.tampered else "seal_broken"
    return replace(state, status=Status.STOPPED, code=code, text=str(error), remedy=error.remedy)


def may_wake(state: State) -> bool:
    """Return whether to wake lanes: not of a paused destination, and on probation only when the next probe is due."""
    return state.status is not Status.PAUSED and (not state.on_probation or state.wait_seconds == 0)
