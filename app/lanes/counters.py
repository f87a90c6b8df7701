"""The names under which a run (an hour of a destination) and a job count. Outcomes are counted under their own names. Pure."""

from __future__ import annotations

RECEIVED = "received"
CALLS = "calls"
RETRIED = "retried"
WHY = "why:"
SEGMENT = "segment:"
LEFT_OUT = "left_out:"
ANSWER = "answer:"  # a call came to this
MATCHED = "matched:"  # a delivered profile had a value for this field


def why(code: str, detail: str = "") -> str:
    """An exclusion or failure by its code; `detail` tells more, of fields and remedies."""
    return f"{WHY}{code}|{detail}" if detail else f"{WHY}{code}"


def segment(segment_id: str, status: str) -> str:
    """A status of a segment that was delivered."""
    return f"{SEGMENT}{segment_id}:{status}"
