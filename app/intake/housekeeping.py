"""What an intake process does besides requests: reads the sources, adds up its counts, and checks that Redis answers."""

from __future__ import annotations

import logging
import time
from threading import Event, Thread
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.logs import say_once

if TYPE_CHECKING:
    from redis import Redis

    from app.intake.counts import Counts
    from app.intake.register import Register

EVERY_SECONDS = 1.0
READY_SECONDS = 5.0

log = logging.getLogger(__name__)


class Housekeeping:
    """A thread of one process. `ready` says whether the process can take profiles."""

    def __init__(self, redis: Redis, register: Register, counts: Counts) -> None:
        self._redis = redis
        self._register = register
        self._counts = counts
        self._told = Event()
        self._answered_at = float("-inf")
        self._thread = Thread(target=self._run, name="intake-housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Bring the last counts to Redis, and end."""
        self._told.set()
        self._thread.join()

    @property
    def ready(self) -> bool:
        """Whether Redis answered in the last few seconds."""
        return not self._told.is_set() and time.monotonic() - self._answered_at < READY_SECONDS

    def _run(self) -> None:
        while True:
            last = self._told.is_set()
            try:
                self._register.refresh()
                self._counts.flush(self._redis, self._register.now_ms)
                self._answered_at = time.monotonic()
            except RedisError as error:
                say_once(log, "housekeeping", "Redis does not answer (%s).", type(error).__name__)
            except Exception:
                log.exception("The sources could not be read.")
            if last:
                return
            self._told.wait(EVERY_SECONDS)
