"""Ctrl-C while a load is under way: taken while a record is read or between two of them, not in the midst of a command to Redis.

hiredis 3.5 crashes when an exception arises while it packs a command, which is what Python's own handler brings about.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class Interrupts:
    """Within it, Ctrl-C ends what goes through `between` with `KeyboardInterrupt`; a second one ends whatever is under way."""

    def __init__(self) -> None:
        self._reading = False
        self._asked = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def between(self, records: Iterable[T]) -> Iterator[T]:
        """The same records."""
        rest = iter(records)
        while True:
            self._reading = True
            if self._asked:
                raise KeyboardInterrupt
            try:
                record = next(rest)
            except StopIteration:
                return
            finally:
                self._reading = False
            yield record

    def _take(self, *_: object) -> None:
        if self._reading or self._asked:
            raise KeyboardInterrupt
        self._asked = True
