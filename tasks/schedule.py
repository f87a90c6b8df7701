"""A beat scheduler that stops sending while no worker takes what it sent."""

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

    A chore is worth nothing once the next one is sent. Celery's `expires` would drop old ones, but it compares beat's clock
    with the worker's: if they differ by seconds, nothing ever runs. So beat looks at the length of its queue, which stays
    short even without workers, and nothing is dropped.
    """

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send an entry's task, unless enough are waiting already."""
        if self._waiting() < MOST_WAITING:
            super().apply_entry(entry, producer=producer)
        else:
            say_once(
                log, "unconsumed", "%d tasks wait in %s and no worker takes them.", MOST_WAITING, MAINTENANCE_QUEUE
            )

    def _waiting(self) -> int:
        """Return how many messages wait; 0 if the broker cannot tell, since sending will then report why."""
        try:
            with self.connection.channel() as channel:
                return int(channel.queue_declare(MAINTENANCE_QUEUE, passive=True).message_count)
        except Exception:  # noqa: BLE001  # each transport has its own errors
            return 0
