"""A beat that sends nothing more while nobody takes what it has sent."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler
from celery.utils.log import get_logger

from app.logs import say_once
from app.queues import MAINTENANCE_QUEUE

MOST_WAITING = 20

log = get_logger(__name__)


class Scheduler(PersistentScheduler):
    """Set as `beat_scheduler`.

    What beat sends is worth nothing once the next of it is sent. Celery's `expires` would drop what is old, but compares the clock of
    beat with that of the worker: where they differ by seconds, nothing is ever run. So beat looks at its queue instead: without
    workers it stays short, and none of it is dropped.
    """

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send the task of an entry, unless enough wait already."""
        if self._waiting() < MOST_WAITING:
            super().apply_entry(entry, producer=producer)
        else:
            say_once(
                log, "unconsumed", "%d tasks wait in %s and no worker takes them.", MOST_WAITING, MAINTENANCE_QUEUE
            )

    def _waiting(self) -> int:
        """How many messages wait. 0 when the broker cannot tell: sending will say why."""
        try:
            with self.connection.channel() as channel:
                return int(channel.queue_declare(MAINTENANCE_QUEUE, passive=True).message_count)
        except Exception:  # noqa: BLE001  # each transport has errors of its own
            return 0
