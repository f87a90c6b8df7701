"""Limits how long the bodies of one process may take, and shortens the limit once the process is told to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

BODY_TIME = "body_time"  # its name in an application's state
BODY_SECONDS = 30.0
STOPPING_SECONDS = 3.0


class BodyTime:
    """The limits of one event loop.

    When stopping, requests under way are answered and bodies still arriving get a few seconds.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.reading: set[BodyLimit] = set()
        self.stopping = False

    def begin_to_stop(self) -> None:
        if not self.stopping:
            self.stopping = True
            for limit in self.reading:
                limit.end_in(STOPPING_SECONDS)

    def limit(self) -> BodyLimit:
        return BodyLimit(self)


class BodyLimit:
    """A context manager around the reading of one body in a task.

    Like `asyncio.timeout`, at a fifth of the cost; each request has one.

    Raises: `TimeoutError`.
    """

    __slots__ = ("_body_time", "_cancelling", "_late", "_task", "_timer")

    def __init__(self, body_time: BodyTime) -> None:
        self._body_time = body_time
        self._late = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        seconds = STOPPING_SECONDS if self._body_time.stopping else BODY_SECONDS
        self._timer = self._body_time.loop.call_later(seconds, self._end)
        self._body_time.reading.add(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        self._body_time.reading.discard(self)
        # do not swallow anybody else's cancellation, and leave none of ours behind
        if self._late and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end_in(self, seconds: float) -> None:
        if not self._late:
            self._timer.cancel()
            self._timer = self._body_time.loop.call_later(seconds, self._end)

    def _end(self) -> None:
        self._late = True
        self._task.cancel()
