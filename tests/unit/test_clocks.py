"""Time that one process writes and another compares is that of Redis: elsewhere the machine's clock is not asked."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# each with the reason why its own clock is right
MAY_ASK = {
    "app/sfmc/answers.py": "a Retry-After that is a date, from a server that gives no date of its own",
    "app/cli/doctor.py": "how far this machine's clock is off",
    "app/tracing.py": "the end of a span, as OpenTelemetry takes it",
    "app/reporting/processes.py": "how far the machine's clock is off",
    "app/reporting/channels.py": "when a webhook was signed, which its receiver compares with its own clock",
}
LOCAL_CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


def readings(path: Path) -> list[int]:
    """Lines that ask the machine's clock."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in LOCAL_CLOCKS
    ]


def modules() -> list[Path]:
    found = [*(ROOT / "app").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]
    return [path for path in found if not path.is_relative_to(ROOT / "app/sandbox")]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_machines_clock_is_not_asked(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in MAY_ASK:
        assert readings(path) == []


@pytest.mark.parametrize("name", MAY_ASK)
def test_each_exception_is_one(name: str) -> None:
    assert readings(ROOT / name)
