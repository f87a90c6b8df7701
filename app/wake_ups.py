"""Wake-ups: Celery messages that tell a worker which lane has work."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from celery import Celery

from app.broker import broker_settings, worker_queue
from app.keys import LANES, DestinationKeys
from app.lanes.lane import announce_wake_ups
from app.logs import say_once
from app.queues import DELIVER_TASK, DELIVERY_QUEUE

if TYPE_CHECKING:
    from app.resources import Resources

log = logging.getLogger(__name__)


class Waker:
    """Sends wake-ups. Safe to share between threads."""

    def __init__(self, resources: Resources, celery: Celery | None = None) -> None:
        self._r = resources
        self._celery = celery or _publisher(resources.settings.celery_broker_url)

    def wake_all(self, destination: str) -> None:
        """Wake every lane that has work, even one that is waiting for something: an operator has just fixed the cause."""
        keys = DestinationKeys(destination)
        self._r.redis.delete(*(keys.lane(number).wake for number in range(LANES)))
        seconds = self._r.settings.wake_up_seconds
        self.wake(destination, announce_wake_ups(self._r.redis, destination, range(LANES), wake_up_seconds=seconds))

    def wake(self, destination: str, lanes: Iterable[int], *, worker: str = "") -> None:
        """Send a wake-up for each lane.

        `worker`: the worker to wake; '' for whichever is free first.

        Raises nothing: while the broker is away profiles are late, not lost, because the sweep finds their lanes.
        """
        numbers = sorted(lanes)
        if not numbers:
            return
        queue = worker_queue(worker) if worker else DELIVERY_QUEUE
        try:
            with self._celery.producer_pool.acquire(block=True, timeout=10) as producer:
                for number in numbers:
                    self._celery.send_task(
                        DELIVER_TASK, args=(destination, number), queue=queue, producer=producer, retry=False
                    )
        except Exception as error:  # noqa: BLE001  # any error of the client: the profiles are durable already
            say_once(
                log,
                f"broker:{type(error).__name__}",
                "The broker does not take wake-ups (%s); the sweep will wake the lanes.",
                type(error).__name__,
            )


@cache
def _publisher(broker_url: str) -> Celery:
    """Return a Celery application that only publishes wake-ups."""
    app = Celery("activation-producer", set_as_current=False)
    app.conf.update(task_ignore_result=True, broker_pool_acquire_timeout=10, **broker_settings(broker_url))
    return app
