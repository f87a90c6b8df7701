"""Answers to questions for starts, as Redis gives them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.pacing.starts import Starts, Why

NOW = 1000.0
NONE = Starts(
    count=0, answered_at=NOW, first_seconds=0.0, interval_seconds=0.025, wait_seconds=0.001, why=Why.NOTHING,
    learns=False, scarce=False,
)  # fmt: skip


def answer(count: int, **changes: Any) -> Starts:
    return replace(NONE, count=count, **changes)
