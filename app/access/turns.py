"""Limits how many costly operations run at once: a few more wait briefly, and the rest are told to try again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from app.errors import ActivationError


class TooBusy(ActivationError):
    """No turn is free for now."""

    RETRY_AFTER_SECONDS = 2

    def __init__(self) -> None:
        super().__init__("Too many are signing in just now.", remedy="Try again in a few seconds.")


class Turns:
    """Runs `at_once`, while `waiting` more wait for at most `seconds`. Safe to share between threads."""

    def __init__(self, at_once: int, *, waiting: int, seconds: float) -> None:
        self._places = BoundedSemaphore(at_once + waiting)
        self._turns = BoundedSemaphore(at_once)
        self._seconds = seconds

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a turn for the block. Raises: `TooBusy`."""
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
