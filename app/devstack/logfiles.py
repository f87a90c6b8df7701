"""Keeps the logs of a stack's processes from growing without bound."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MOST_BYTES = 20_000_000
KEPT = 3  # old logs of each process; NAME.log.1 is the newest


def rotate(folder: Path, *, most_bytes: int = MOST_BYTES) -> list[str]:
    """Set aside each log that is full; returns their names.

    A process goes on appending to its open file, so the file is copied and then emptied; a line written in between is lost.
    """
    rotated = []
    for path in sorted(folder.glob("*.log")):
        if path.stat().st_size < most_bytes:
            continue
        for number in range(KEPT, 1, -1):
            former = path.with_name(f"{path.name}.{number - 1}")
            if former.exists():
                former.replace(path.with_name(f"{path.name}.{number}"))
        newest = path.with_name(f"{path.name}.1")
        shutil.copyfile(path, newest)
        newest.chmod(0o600)
        os.truncate(path, 0)
        rotated.append(path.name)
    return rotated
