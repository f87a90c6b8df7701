"""The thread in which a process reports being alive and adds its measures to those of the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.logs import say_once
from app.reporting.measures import FLUSH_SECONDS
from app.reporting.processes import end_process, note_process, this_process

if TYPE_CHECKING:
    from app.resources import Resources

NOTE_SECONDS = 5.0

log = logging.getLogger(__name__)


class Presence:
    """Runs from `begin` to `end`. `watch` is called every few seconds, for what no other process might notice."""

    def __init__(
        self, resources: Resources, name: str, role: str, queues: tuple[str, ...], watch: Callable[[], None]
    ) -> None:
        self._r = resources
        self._name, self._role, self._queues = name, role, queues
        self._watch = watch
        self._ended = Event()

    def begin(self) -> None:
        self._r.measures.begin(self._r.clock)
        Thread(target=self._run, name="presence", daemon=True).start()

    def end(self) -> None:
        """Stop, because the process is about to end."""
        self._ended.set()

    def _run(self) -> None:
        redis, clock, measures = self._r.redis, self._r.clock, self._r.measures
        process, note_at = None, 0.0
        with suppress(RedisError):
            clock.now_ms()  # so that the time is known before the first call is accepted
        while not self._ended.wait(FLUSH_SECONDS):
            measures.flush_when_due(redis, clock)
            if time.monotonic() < note_at:
                continue
            note_at = time.monotonic() + NOTE_SECONDS
            try:
                now_ms = clock.now_ms()
                process = process or this_process(self._name, self._role, now_ms=now_ms, queues=self._queues)
                note_process(redis, process, now_ms=now_ms)
                self._r.signs.taken(time.monotonic())
                self._watch()
            except RedisError as error:
                say_once(log, "presence", "Redis does not take signs of life (%s).", type(error).__name__)
            except Exception as error:  # noqa: BLE001  # a process without signs of life would be taken for dead
                text = "What this process looks after beside its work failed (%s). It is tried again."
                say_once(log, "watch", text, type(error).__name__, level=logging.ERROR)
        try:
            measures.flush(redis, clock)
            end_process(redis, self._name)
        except RedisError:
            pass  # after a while it is considered gone anyway
