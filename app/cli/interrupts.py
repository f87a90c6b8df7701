"""Ctrl-C, TERM and HUP during a load: they take effect while a record is read, or between two records.

During a command to Redis they wait: hiredis 3.5 crashes if an exception arises while it packs a command, as handlers that
raise would cause.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from app.devstack.signals import ENDING, handling

T = TypeVar("T")


class Interrupts:
    """Within the block, a signal ends what goes through `between`, with `KeyboardInterrupt`.

    A second signal ends whatever is under way. `number`: the last signal.
    """

    def __init__(self) -> None:
        self.number: int = signal.SIGINT
        self._reading = False
        self._asked = False
        self._raised = False

    def __enter__(self) -> Self:
        self._handling = handling(ENDING, self._take)
        self._handling.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handling.__exit__(None, None, None)
        if kind is None and self._asked and not self._raised:  # the signal came after the last record
            signal.raise_signal(signal.Signals(self.number))

    def between(self, records: Iterable[T]) -> Iterator[T]:
        """Yield the same records."""
        rest = iter(records)
        while True:
            self._reading = True
            if self._asked:
                self._raised = True
                raise KeyboardInterrupt
            try:
                record = next(rest)
            except StopIteration:
                return
            finally:
                self._reading = False
            yield record

    def _take(self, number: int, _: object) -> None:
        self.number = number
        if self._reading or self._asked:
            self._raised = True
            raise KeyboardInterrupt
        self._asked = True
