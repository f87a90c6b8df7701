"""What a load excluded: counted, the first ones named on the error stream, all of them written to a file on request."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import orjson

from app.chunks import MOST_CONTACTS
from app.cli.report import err
from app.errors import UsageError
from app.files.records import Record
from app.files.streams import shown
from app.mapping.update import Excluded

RECORDS_NAMED = 10


class Exclusions:
    """Counts exclusions, keeps the first ones, and writes all to a file.

    The file gets one JSON object per line: file, number of the line, element or row, reason, what is wrong.

    Only its owner may read it. Each line is written before the exclusion is counted, so that none is missing after an
    interrupted load; when the load continues, those of the last chunk are not written twice.
    """

    def __init__(self, path: str | None, *, resumed: bool, inputs: Iterable[str]) -> None:
        """Open the file. `inputs`: the files and folders being read.

        Raises: `UsageError` if the file cannot be written, is one of them, or is in one of them.
        """
        self.count = 0
        self._first: list[str] = []
        self._written: set[bytes] = set()
        self._file: IO[bytes] | None = None
        if path is not None:
            self._file = self._open(Path(path), resumed=resumed, inputs=inputs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, record: Record, excluded: Excluded) -> None:
        self.count += 1
        found = record.found or excluded.detail
        if len(self._first) < RECORDS_NAMED:
            self._first.append(
                f"{shown(record.file)} {record.number:,}: {excluded.reason}{f' ({found})' if found else ''}"
            )
        if self._file is not None:
            line = orjson.dumps(
                {"file": record.file, "number": record.number, "reason": excluded.reason, "found": found}
            )
            if line not in self._written:
                self._file.write(line + b"\n")

    def tell(self) -> None:
        if not self.count:
            return
        err.print(
            f"{self.count:,} {'profile is' if self.count == 1 else 'profiles are'} excluded; the others are enqueued. "
            "Fix them and enqueue them again: what is delivered already costs no call.",
            markup=False,
        )
        for line in self._first:
            err.print(f"  {line}", markup=False)
        if self.count > len(self._first):
            err.print(f"  … and {self.count - len(self._first):,} more.", markup=False)

    def _open(self, path: Path, *, resumed: bool, inputs: Iterable[str]) -> IO[bytes]:
        try:
            read = [name for name in map(Path, inputs) if name.exists()]
            if path.parent.exists() and (folder := next((name for name in read if path.parent.samefile(name)), None)):
                raise UsageError(
                    f"--excluded: {path} is in {folder}, which is read as a whole.",
                    remedy="Nothing was enqueued. Name a file in another folder: this one would be taken for profiles.",
                )
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(path.lstat().st_mode):
                    raise UsageError(f"--excluded: {path} is not a file.", remedy="Nothing was enqueued.")
                if any(path.samefile(name) for name in read):
                    raise UsageError(
                        f"--excluded: {path} is also one of the files to read.", remedy="Nothing was enqueued."
                    )
                if resumed:
                    self._written = _last_lines(path)
                else:
                    path.unlink()
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            os.fchmod(handle, 0o600)
        except OSError as error:
            raise UsageError(
                f"--excluded: {path} cannot be written: {error.strerror}.", remedy="Nothing was enqueued."
            ) from error
        return os.fdopen(handle, "wb", buffering=0)


def _last_lines(path: Path) -> set[bytes]:
    """Return the lines that the last chunk may have written; a line that was cut off is removed from the file."""
    with path.open("r+b") as file:
        last = deque(file, maxlen=MOST_CONTACTS + 1)
        if last and not last[-1].endswith(b"\n"):
            file.truncate(file.tell() - len(last.pop()))
    return {line.rstrip(b"\n") for line in last}
