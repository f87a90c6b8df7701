"""JSON Lines: one profile per line; blank lines are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from app.files.kinds import BOM
from app.files.records import LONGEST_RECORD_BYTES, Record, json_record


class JsonLines:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def items(self) -> Iterator[tuple[int, bytes | None]]:
        for number, line in bounded_lines(self._stream):
            if line is None or line.strip():
                yield number, line

    def record(self, number: int, item: bytes | None) -> Record:
        return json_record(number, item)


def bounded_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield lines with their numbers from 1, without a byte-order mark.

    A line that is too long is None, and nothing of it is kept.
    """
    number = 0
    while line := stream.readline(LONGEST_RECORD_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(BOM)
        if len(line) <= LONGEST_RECORD_BYTES or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_RECORD_BYTES)
        yield number, None
