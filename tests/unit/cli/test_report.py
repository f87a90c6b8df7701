"""JSON for programs: our times become RFC 3339, and what others have named stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.cli.report import print_json


@pytest.mark.parametrize(
    ("document", "printed"),
    [
        ({"failed_at_ms": 1_000, "seen_ms": 0}, {"failed_at": "1970-01-01T00:00:01.000Z", "seen": None}),
        ([{"rows": [{"at_ms": 1_000}]}], [{"rows": [{"at": "1970-01-01T00:00:01.000Z"}]}]),
        ({"share_ms": 0.5, "text_ms": "x"}, {"share_ms": 0.5, "text_ms": "x"}),
        (
            {"at_ms": 1_000, "profile": {"latency_ms": 12, "visits": [{"last_ms": 5}]}},
            {"at": "1970-01-01T00:00:01.000Z", "profile": {"latency_ms": 12, "visits": [{"last_ms": 5}]}},
        ),
        ([{"account": {"Extra.Delay_ms": 7}}], [{"account": {"Extra.Delay_ms": 7}}]),
        (
            {"calls": [{"body": {"values": [{"delay_ms": 7}]}}]},
            {"calls": [{"body": {"values": [{"delay_ms": 7}]}}]},
        ),
        *(
            (
                [{"start_ms": 1_000, name: {"last_visit_ms": 3}}],
                [{"start": "1970-01-01T00:00:01.000Z", name: {"last_visit_ms": 3}}],
            )
            for name in ("reasons", "left_out", "matched", "answers", "outcomes")
        ),
        ({"segments": {"visit_ms": {"realized": 2}}}, {"segments": {"visit_ms": {"realized": 2}}}),
    ],
)
def test_what_is_printed(capsys: pytest.CaptureFixture[str], document: Any, printed: Any) -> None:
    print_json(document)
    assert json.loads(capsys.readouterr().out) == printed
