"""So many at once of what takes much: a few more wait a little, and the rest is told to come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from app.errors import ActivationError


class TooBusy(ActivationError):
    """There is no turn for now."""

    RETRY_AFTER_SECONDS = 2

    def __init__(self) -> None:
        super().__init__("Too many are signing in just now.", remedy="Try again in a few seconds.")


class Turns:
    """`at_once` have one, `waiting` more wait for it, at most for `seconds`. Safe for many threads."""

    def __init__(self, at_once: int, *, waiting: int, seconds: float) -> None:
        self._places = BoundedSemaphore(at_once + waiting)
        self._turns = BoundedSemaphore(at_once)
        self._seconds = seconds

    @contextmanager
    def one(self) -> Iterator[None]:
        """Raises `TooBusy`."""
        if not self._places.acquire(blocking=False):
            raise TooBusy
        try:
            if not self._turns.acquire(timeout=self._seconds):
                raise TooBusy
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()
