"""Files that commands write, readable only by their owner if they hold personal data; and standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from app.errors import UsageError


def standard_input() -> BinaryIO:
    """Return standard input as a binary stream. Raises: `UsageError` if it is closed."""
    if sys.stdin is None:
        raise UsageError("Standard input is closed.", remedy="Name a file, or give it one with < or a pipe.")
    return sys.stdin.buffer


def write_private(path: Path, lines: Iterable[bytes]) -> int:
    """Write lines to a file that only its owner may read; returns how many. An existing file is replaced once all is written.

    Raises: `UsageError` if it cannot be written, or if the path is no file: a device would be replaced too.
    """
    if not path.name:
        raise UsageError(f"{path} is not the name of a file.", remedy="Nothing was written. Name a file.")
    with suppress(OSError, ValueError):  # opening it will say why
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UsageError(f"{path} is not a file.", remedy="Nothing was written. Name a file.")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not one"
        raise UsageError(
            f"{path} cannot be written: {reason}.", remedy="Name a file in a folder that exists."
        ) from error
    count = 0
    try:
        with os.fdopen(handle, "wb") as file:
            for line in lines:
                file.write(line + b"\n")
                count += 1
        beside.replace(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.",
            remedy="Nothing was written. Make room, or name a file elsewhere.",
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return count
