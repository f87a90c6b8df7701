"""JSON for programs: our times become RFC 3339, and what others have named stays as it is. And text that commands no terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.cli.report import complain, err, out, print_done, print_json


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


EVIL = "no\x1b[2J\x9b31m\x7f \u202ename[bold]\nnext"
SPELT = r"no\x1b[2J\x9b31m\x7f \u202ename[bold]" + "\nnext"


@pytest.mark.parametrize(
    "say",
    [
        lambda: complain(EVIL),
        lambda: complain("It failed.", remedy=EVIL),
        lambda: complain("It failed.", problems=[EVIL]),
        lambda: print_done(EVIL, None, as_json=False),
        lambda: out.print(EVIL, markup=False),
        lambda: err.print(EVIL, markup=False),
    ],
)
def test_what_others_wrote_commands_no_terminal(capsys: pytest.CaptureFixture[str], say: Callable[[], None]) -> None:
    say()
    assert SPELT in "".join(capsys.readouterr())


def test_json_for_programs_on_a_terminal_neither(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": EVIL})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": EVIL}
    assert not set("\x1b\x9b\x7f\u202e") & set(printed)
