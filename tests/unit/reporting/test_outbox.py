"""In which order messages go to their channels."""

from __future__ import annotations

import pytest

from app.reporting.outbox import in_order


def message(channel: str, at_ms: int, tries: int = 0, *, due_ms: int | None = None, of: str = "a") -> dict[str, object]:
    event = {"at_ms": at_ms, "alert": {"kind": of, "destination": ""}}
    return {"channel": channel, "due_ms": at_ms if due_ms is None else due_ms, "tries": tries, "event": event}


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ({}, []),
        ({b"a": message("webhook", 3), b"b": message("slack", 2)}, [b"b", b"a"]),
        ({b"a": message("webhook", 11), b"b": message("slack", 10)}, [b"b"]),
        (
            {b"a": message("hangs", 1), b"b": message("hangs", 2, tries=1, due_ms=20, of="b"), b"c": message("well", 9)},
            [b"c", b"a"],
        ),
        ({b"a": message("hangs", 2, tries=1), b"b": message("away", 1, tries=4)}, [b"b", b"a"]),
        ({b"a": message("hangs", 1, tries=1, due_ms=20), b"b": message("hangs", 2), b"c": message("well", 2)}, [b"c"]),
        ({b"a": message("hangs", 1, tries=3, due_ms=9), b"b": message("hangs", 2)}, [b"a", b"b"]),
    ],
    ids=[
        "none", "the oldest first", "not before its time", "after channels that take them", "channels that fail",
        "the end of an alert waits for its begin", "and comes after it",
    ],
)  # fmt: skip
def test_the_order_of_messages(waiting, expected):
    assert in_order(waiting, now_ms=10) == expected
