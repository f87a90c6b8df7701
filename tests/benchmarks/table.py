"""A figure as it is printed and as it is written for programs."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what is asked, what came out, and the table behind it. `reached` is None where nothing is asked."""

    name: str
    target: str
    result: str
    reached: bool | None
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""

    def show(self, out: Console) -> None:
        verdict = {True: "; reached", False: "; NOT REACHED", None: ""}[self.reached]
        out.print(f"\n[bold]{self.name}[/]: {self.result}   (target: {self.target}{verdict})")
        table = Table(*self.columns)
        for row in self.rows:
            table.add_row(*row)
        if self.rows:
            out.print(table)
        if self.note:
            out.print(self.note)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def machine() -> dict[str, str]:
    """Where the figures were taken."""
    packages = ("celery", "kombu", "redis", "requests", "cryptography", "orjson")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123  # a pseudo-file
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
