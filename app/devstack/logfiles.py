"""The logs of a stack's processes, kept from growing without end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MOST_BYTES = 20_000_000
KEPT = 3  # former logs of each process: NAME.log.1 is the newest


def rotate(folder: Path, *, most_bytes: int = MOST_BYTES) -> list[str]:
    """Put aside each log that is full; returns their names.

    A process goes on writing to the file it has: it appends, so the file is copied and then emptied. A line that is written between
    the two is lost.
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
