"""CSV in UTF-8 with a header: one profile a row, separated by comma, semicolon, tab or bar."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from app.files.columns import BadCell, Column, Columns
from app.files.json_lines import bounded_lines
from app.files.kinds import DELIMITERS
from app.files.records import Record, too_large
from app.mapping.compiled import Reason

_Row = tuple[list[str], str]  # the cells, and what is wrong with them
_LONG_CELL = f"a quote that is not closed, or a cell of more than {csv.field_size_limit():,} characters"
_TOO_LONG = "a line that is too long"


class CsvRows:
    """Reads the header at once. Raises `UsageError` when it has problems."""

    def __init__(self, stream: BinaryIO, given: Mapping[str, Column] | None) -> None:
        self._lines = bounded_lines(stream)
        self._fault = ""
        self._number = 0
        first = next((line for line in self._text() if line.strip()), "")
        self._delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark))))
        header = next(csv.reader([first], delimiter=self._delimiter))
        self._width = len(header)
        self.columns = Columns(header, given)

    def items(self) -> Iterator[tuple[int, _Row]]:
        """By the number of the line on which the row begins."""
        begins = self._number + 1
        rows = csv.reader(self._text(), delimiter=self._delimiter)
        while True:
            self._fault = ""
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error:
                cells, self._fault = [], self._fault or _LONG_CELL
            if cells or self._fault:
                yield begins, (cells, self._fault)
            begins = self._number + 1

    def record(self, number: int, item: _Row) -> Record:
        cells, fault = item
        if fault == _TOO_LONG:
            return too_large(number)
        if not fault and len(cells) != self._width:
            fault = f"{len(cells)} cells, where the header has {self._width}"
        if not fault:
            try:
                return Record(number, self.columns.profile(cells))
            except BadCell as problem:
                fault = str(problem)
        return Record(number, None, Reason.MALFORMED_PROFILE, fault)

    def _text(self) -> Iterator[str]:
        """The lines; what is wrong with one of them is noted for its row."""
        for number, line in self._lines:
            self._number = number
            if line is None:
                self._fault = _TOO_LONG
                yield "\n"
                continue
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                self._fault = self._fault or f"not UTF-8 at byte {error.start + 1} of line {number}"
                yield line.decode(errors="replace")
