"""The names of counters in a run (one hour of a destination) and a job. Outcomes are counted under their own names. Pure."""

from __future__ import annotations

RECEIVED = "received"
CALLS = "calls"
RETRIED = "retried"
WHY = "why:"
SEGMENT = "segment:"
LEFT_OUT = "left_out:"
ANSWER = "answer:"  # the result of a call
MATCHED = "matched:"  # a delivered profile had a value for this field


def why(code: str, detail: str = "") -> str:
    """Name an exclusion or failure by its code; `detail` adds the field or the error text."""
    return f"{WHY}{code}|{detail}" if detail else f"{WHY}{code}"


def segment(segment_id: str, status: str) -> str:
    """Name a status that was written to a segment's field."""
    return f"{SEGMENT}{segment_id}:{status}"
