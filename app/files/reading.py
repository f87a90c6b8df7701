"""The records of several files, one after another; all files are recognised before the first record is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from app.errors import UsageError, WorkHasProblems
from app.files.columns import Column, Keys
from app.files.csv_rows import CsvRows
from app.files.json_lines import JsonLines
from app.files.json_texts import JsonTexts
from app.files.kinds import Kind, Unrecognised, kind_of
from app.files.parquet_rows import ParquetRows
from app.files.records import Reader, Record
from app.files.streams import DAMAGED, STANDARD_INPUT, Opened, open_file, shown

SAMPLE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RecognisedFile:
    """A recognised file. `size`: in bytes, None if unknown; `fingerprint` is then ''."""

    name: str
    kind: Kind
    size: int | None
    fingerprint: str


class Files:
    """The files to load.

    `given`: where columns go; by default their names say so. `leads_to_contact`: returns whether such a profile has a
      contact key; a table without a column that leads to one is refused.
    """

    def __init__(
        self,
        names: Sequence[str],
        standard_input: Callable[[], BinaryIO],
        *,
        given: Mapping[str, Column] | None = None,
        leads_to_contact: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> None:
        """Recognise all files. Raises: `UsageError` with every file that contains no profiles."""
        self._given = given
        self._leads_to_contact = leads_to_contact
        self._opened: Opened | None = None
        self._reader: Reader | None = None
        self._before = 0  # bytes of the finished files
        self._kept: dict[str, Opened] = {}  # standard input and pipes, which can be read only once
        self.columns: dict[str, Keys] = {}  # of all tables: where each column goes, by name
        self._begun: dict[str, Reader] = {}  # name -> reader, begun when the file was recognised
        paths = _expand(names)
        _refuse_repeats(paths)
        if STANDARD_INPUT in paths:
            self._kept[STANDARD_INPUT] = open_file(STANDARD_INPUT, standard_input)
        self.recognised = self._recognise(paths)

    @property
    def size(self) -> int | None:
        """Total bytes; None if unknown."""
        sizes = [file.size for file in self.recognised]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def consumed(self) -> int:
        """Return the bytes read so far."""
        if self._opened is None:
            return self._before
        if isinstance(self._reader, ParquetRows):
            return self._before + int((self._opened.size or 0) * self._reader.share)
        return self._before + self._opened.consumed()

    def records(self, *, skip: int = 0) -> Iterator[Record]:
        """Yield every record except the first `skip`. Raises: `WorkHasProblems` if a file turns out to be cut off or damaged."""
        left = skip
        for file in self.recognised:
            with self._open(file.name) as opened:
                self._opened = opened
                count = 0
                try:
                    self._reader = reader = self._begun.get(file.name) or self._read(opened, file.kind)
                    for number, item in reader.items():
                        count = number
                        if left:
                            left -= 1
                        else:
                            yield _of_file(reader.record(number, item), file.name)
                    if isinstance(reader, JsonTexts) and reader.cut_off:
                        raise _damaged(file, count)
                except (*DAMAGED, Unrecognised) as error:  # recognised earlier, so the file has changed
                    raise _damaged(file, count) from error
                finally:
                    self._before += opened.consumed()
                    self._opened = self._reader = None
                    self._let_go([file.name])

    def _recognise(self, paths: Sequence[str]) -> tuple[RecognisedFile, ...]:
        found: list[RecognisedFile] = []
        problems: list[str] = []
        for name in paths:
            try:
                with self._open(name) as opened:
                    kind = kind_of(opened.head, complete=opened.complete)
                    reader = self._read(opened, kind)
                    if isinstance(reader, CsvRows | ParquetRows):
                        self.columns = reader.columns.places | self.columns
                    if opened.size is None:
                        self._begun[name] = reader
                    found.append(RecognisedFile(name, kind, opened.size, _fingerprint(name, opened)))
            except Unrecognised as what:
                problems.append(f"{shown(name)} seems to be {what.seems}. {what.remedy}")
            except UsageError as error:
                problems += [f"{shown(name)}: {problem}" for problem in getattr(error, "problems", ())] or [
                    f"{error} {error.remedy}".rstrip()
                ]
            except DAMAGED:
                problems.append(f"{shown(name)} is damaged.")
        if problems:
            self._let_go(paths)
            raise UsageError(
                "Nothing was enqueued: not everything that is named can be read as profiles.", problems=tuple(problems)
            )
        return tuple(found)

    def _read(self, opened: Opened, kind: Kind) -> Reader:
        """Return the reader for a file. Raises: `UsageError`; `Unrecognised` if its columns hold no profiles."""
        match kind:
            case Kind.JSON_LINES:
                return JsonLines(opened.stream)
            case Kind.JSON:
                return JsonTexts(opened.stream)
            case Kind.CSV:
                table: CsvRows | ParquetRows = CsvRows(opened.stream, self._given)
            case Kind.PARQUET:
                if opened.size is None or opened.compression is not None:
                    raise Unrecognised(
                        "Parquet that is packed or comes through a pipe",
                        "Name the Parquet file itself; it is packed within.",
                    )
                table = ParquetRows(opened.name, self._given)
        if not self._leads_to_contact(table.columns.sample()):
            raise Unrecognised(
                f"a table ({kind}), and none of its columns leads to the contact key",
                "Name columns by their XDM path, such as identityMap.contactKey, or say with --columns where they go.",
            )
        return table

    @contextmanager
    def _open(self, name: str) -> Iterator[Opened]:
        """Open a file for the block; a source that can be read only once stays open until its records are read."""
        opened = self._kept.get(name) or open_file(name)
        if opened.size is None:
            self._kept[name] = opened
        try:
            yield opened
        finally:
            if opened.size is not None:
                opened.close()

    def _let_go(self, names: Iterable[str]) -> None:
        """Close pipes; standard input is not ours to close."""
        for name in names:
            if name != STANDARD_INPUT and name in self._kept:
                self._kept.pop(name).close()


def _of_file(record: Record, name: str) -> Record:
    number, profile, reason, found, _ = record
    return Record(number, profile, reason, found, name)  # takes a quarter of the time of `_replace`


def _expand(names: Sequence[str]) -> list[str]:
    """Replace each folder by its files, without hidden ones and those like `_SUCCESS`."""
    found: list[str] = []
    for name in names:
        if not name:  # '' would mean the current folder
            raise UsageError("The name of a file is empty.", remedy="Nothing was enqueued.")
        try:
            if name == STANDARD_INPUT or not Path(name).is_dir():
                found.append(name)
                continue
            files = sorted(
                str(path) for path in Path(name).iterdir() if path.is_file() and not path.name.startswith((".", "_"))
            )
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror}.", remedy="Nothing was enqueued.") from error
        if not files:
            raise UsageError(f"{name} is a folder without files.", remedy="Nothing was enqueued.")
        found += files
    if found.count(STANDARD_INPUT) > 1:
        raise UsageError("Standard input can be named once.")
    return found


def _refuse_repeats(names: Sequence[str]) -> None:
    """Check that nothing but regular files is named twice: it can be read only once. Raises: `UsageError`."""
    seen = set()
    for name in names:
        try:
            about = os.fstat(0) if name == STANDARD_INPUT else Path(name).stat()
        except OSError:
            continue  # opening it will say why
        if stat.S_ISREG(about.st_mode):
            continue
        if (about.st_dev, about.st_ino) in seen:
            raise UsageError(
                f"{shown(name)} is named twice, but can be read only once.", remedy="Nothing was enqueued."
            )
        seen.add((about.st_dev, about.st_ino))


def _fingerprint(name: str, opened: Opened) -> str:
    """Return a fingerprint by size, modification time and both ends, which shows whether a file is still the same."""
    if opened.size is None:
        return ""
    about = Path(name).stat()
    digest = blake2b(f"{opened.size} {about.st_mtime_ns} ".encode(), digest_size=16)
    with Path(name).open("rb") as file:
        digest.update(file.read(SAMPLE_BYTES))
        file.seek(max(0, opened.size - SAMPLE_BYTES), os.SEEK_SET)
        digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _damaged(file: RecognisedFile, count: int) -> WorkHasProblems:
    return WorkHasProblems(
        f"{shown(file.name)} is cut off or damaged after {count:,} records; what was read before is enqueued.",
        remedy="Get the whole file and enqueue it again: what is delivered already costs no call.",
    )
