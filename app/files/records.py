"""What readers hand on: one record for each line, element or row that is not blank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import orjson

from app.lanes.bounds import MOST_BYTES
from app.mapping.update import Reason

# JSON full of escapes is up to four times as long as in a lane; longer records are not even read
LONGEST_RECORD_BYTES = 4 * MOST_BYTES


class Record(NamedTuple):
    """One record.

    `number`: of the line, element or row, from 1. With a `reason` there is no profile, and `found` says what is wrong.
    """

    number: int
    profile: Any
    reason: Reason | None = None
    found: str = ""
    file: str = ""


class Damaged(Exception):
    """A file cannot be read any further."""


class Reader(Protocol):
    """One opened file. `items` is cheap, so that a load can skip finished ones; `record` interprets one item."""

    def items(self) -> Iterator[tuple[int, Any]]: ...

    def record(self, number: int, item: Any) -> Record: ...


def too_large(number: int) -> Record:
    return Record(number, None, Reason.TOO_LARGE, f"longer than {LONGEST_RECORD_BYTES:,} bytes")


def json_record(number: int, text: bytes | None) -> Record:
    """Return the record for a JSON text; None stands for one that was too long to be read."""
    if text is None:
        return too_large(number)
    try:
        profile: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            text.decode()
        except UnicodeDecodeError as wrong:
            return Record(number, None, Reason.MALFORMED_PROFILE, f"not UTF-8 at byte {wrong.start + 1}")
        return Record(number, None, Reason.MALFORMED_PROFILE, f"no JSON at character {error.pos + 1} of it")
    return Record(number, profile)
