"""The activation rate is the share of what was settled that is in Marketing Cloud as it should be."""

from __future__ import annotations

import pytest

from app.reporting.runs import OUTCOMES, Run


def run(**outcomes: int) -> Run:
    return Run(hour=0, received=0, outcomes={**dict.fromkeys(OUTCOMES, 0), **outcomes}, calls=0, retried=0)


@pytest.mark.parametrize(
    ("outcomes", "rate"),
    [
        ({}, None),
        ({"delivered": 2, "excluded": 85}, 2 / 87),
        ({"excluded": 85}, 0.0),
        ({"delivered": 1, "unchanged": 1, "superseded": 1}, 1.0),
        ({"delivered": 1, "failed": 1, "excluded": 2}, 0.25),
    ],
)
def test_it_counts_what_was_excluded(outcomes: dict[str, int], rate: float | None) -> None:
    assert run(**outcomes).activation_rate == (rate if rate is None else pytest.approx(rate))
