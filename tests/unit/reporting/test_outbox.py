"""In which order messages go to their channels."""

from __future__ import annotations

import pytest

from app.reporting.outbox import in_order


def message(channel: str, due_ms: int, tries: int = 0) -> dict[str, object]:
    return {"channel": channel, "due_ms": due_ms, "tries": tries}


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ({}, []),
        ({b"a": message("webhook", 3), b"b": message("slack", 2)}, [b"b", b"a"]),
        ({b"a": message("webhook", 11), b"b": message("slack", 10)}, [b"b"]),
        (
            {b"a": message("hangs", 1), b"b": message("hangs", 20, tries=1), b"c": message("well", 9)},
            [b"c", b"a"],
        ),
        ({b"a": message("hangs", 2, tries=1), b"b": message("away", 1, tries=4)}, [b"b", b"a"]),
    ],
    ids=["none", "the oldest first", "not before its time", "after channels that take them", "channels that fail"],
)
def test_the_order_of_messages(waiting, expected):
    assert in_order(waiting, now_ms=10) == expected
