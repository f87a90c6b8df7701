"""One sweep: every destination in turn, its sleeping lanes, its bounds, its alerts.

A sweep is safe to run at any time and by several beats at once; a short guard in Redis keeps them from doing the same twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from app.destinations.state import State, Status
from app.errors import ActivationError, UnknownDestination
from app.keys import LANES, SWEEP
from app.lanes.lane import rouse
from app.lua import write
from app.sweep.alert_rules import raise_alerts
from app.sweep.retention import bound_failures, clean_lane, forget_old_jobs

if TYPE_CHECKING:
    from app.producer import Producer
    from app.resources import Resources

log = logging.getLogger(__name__)


def sweep(resources: Resources, producer: Producer) -> int:
    """Look after every destination; returns how many lanes were woken."""
    settings = resources.settings
    guard_ms = int(settings.sweep_seconds * 500)
    if guard_ms and not _first(resources, guard_ms):
        return 0
    woken = 0
    for destination_id in resources.destinations.ids():
        try:
            state = resources.states.get(destination_id)
            if may_wake(state):
                lanes = rouse(
                    resources.redis, destination_id, range(LANES), wake_mark_seconds=settings.wake_mark_seconds
                )
                producer.wake(destination_id, lanes)
                woken += len(lanes)
            destination = resources.destinations.get(destination_id)
            bound_failures(resources, destination_id)
            clean_lane(resources, destination)
            forget_old_jobs(resources, destination_id)
            raise_alerts(resources, destination, state)
        except UnknownDestination:
            continue  # disconnected since
        except ActivationError as error:
            log.error("Sweeping %s: %s %s", destination_id, error, error.remedy)  # noqa: TRY400  # the text says it all
    return woken


def _first(resources: Resources, guard_ms: int) -> bool:
    """Whether nobody else has swept within the guard."""
    if resources.redis.exists(SWEEP):
        return False
    return write(resources.redis, ("SET", SWEEP, "1", "PX", guard_ms), keys=[SWEEP])


def may_wake(state: State) -> bool:
    """Paused lanes sleep; those on probation wake when the next probe is due."""
    return state.status is not Status.PAUSED and (not state.on_probation or state.wait_seconds == 0)
