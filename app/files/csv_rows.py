"""CSV in UTF-8 with a header: one profile per row, separated by comma, semicolon, tab or bar.

A faulty row counts as one line, whatever its quotes suggest, and the reader continues at the next line. Otherwise an
unclosed quote would pull other people's rows into one cell.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from app.errors import UsageError
from app.files.columns import BadCell, Column, Columns
from app.files.json_lines import bounded_lines
from app.files.kinds import DELIMITERS
from app.files.records import Record, too_large
from app.mapping.update import Reason

_Row = tuple[list[str], str]  # (cells, what is wrong with them)
_TOO_LONG = "a line that is too long"
_OPEN_QUOTE = f"a quote that is not closed, or a cell of more than {csv.field_size_limit():,} characters"
_ROWS_IN_A_CELL = (
    "a quote that is not closed: the lines after it look like rows of their own; double the quotes within cells"
)
_FAULTS = {
    "new-line": "a carriage return within a cell that is not quoted",
    "expected after": "a quote within a quoted cell that is not doubled",
}


class _Line(NamedTuple):
    number: int
    text: str
    fault: str


class CsvRows:
    """The rows of a CSV file; reads the header at once. Raises: `UsageError` if it has problems."""

    def __init__(self, stream: BinaryIO, given: Mapping[str, Column] | None) -> None:
        self._lines = self._decoded(bounded_lines(stream))
        self._again: deque[_Line] = deque()  # already read, by a row that turned out to be one line
        self._taken: list[_Line] = []  # by the row being read
        first = next((line.text for line in self._lines if line.text.strip()), "")
        self._delimiter, header = max(
            ((mark, _header(first, mark)) for mark in DELIMITERS), key=lambda found: len(found[1])
        )
        if first and not header:
            raise UsageError(
                f"Its header has a name of more than {csv.field_size_limit():,} characters, or a quote that is not closed.",
                remedy="Close the quote, or shorten the name.",
            )
        self._width = len(header)
        self.columns = Columns(header, given)

    def items(self) -> Iterator[tuple[int, _Row]]:
        """Yield rows with the number of the line on which each begins."""
        rows = self._reader()
        while True:
            self._taken.clear()
            try:
                cells, fault = next(rows), ""
            except StopIteration:
                return
            except csv.Error as error:
                cells, fault = [], _fault_of(error)
                rows = self._reader()
            first, *others = self._taken
            if others:
                fault = next((line.fault for line in self._taken if line.fault), fault) or self._fault_of_lines(cells)
                if fault:
                    self._again.extendleft(reversed(others))
            fault = first.fault or fault
            if cells or fault:
                yield first.number, (cells, fault)

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._next_lines(), delimiter=self._delimiter, strict=True)

    def _next_lines(self) -> Iterator[str]:
        while (line := self._again.popleft() if self._again else next(self._lines, None)) is not None:
            self._taken.append(line)
            yield line.text

    def _fault_of_lines(self, cells: list[str]) -> str:
        """Return what is wrong with a row of several lines; '' if its cells just contain line breaks."""
        if len(cells) != self._width:
            return self._fault_of_width(cells)
        first, *others = self._taken
        # if each cell is quoted, the next row's first quote would have ended this cell
        if first.text.startswith('"') or not all(map(self._looks_like_a_row, others)):
            return ""
        return _ROWS_IN_A_CELL

    def _looks_like_a_row(self, line: _Line) -> bool:
        """Return whether a line looks like a row: prose seldom has as many separators, and has spaces after them."""
        cells = next(csv.reader([line.text.rstrip("\r\n")], delimiter=self._delimiter), [])
        return len(cells) == self._width and cells[0] != "" and not any(cell.startswith(" ") for cell in cells)

    def _fault_of_width(self, cells: list[str]) -> str:
        return f"{len(cells)} cells, where the header has {self._width}"

    def record(self, number: int, item: _Row) -> Record:
        cells, fault = item
        if fault == _TOO_LONG:
            return too_large(number)
        if not fault and len(cells) != self._width:
            fault = self._fault_of_width(cells)
        if not fault:
            try:
                return Record(number, self.columns.profile(cells))
            except BadCell as problem:
                fault = str(problem)
        return Record(number, None, Reason.MALFORMED_PROFILE, fault)

    def _decoded(self, lines: Iterator[tuple[int, bytes | None]]) -> Iterator[_Line]:
        for number, line in lines:
            if line is None:
                yield _Line(number, "\n", _TOO_LONG)
                continue
            try:
                yield _Line(number, line.decode(), "")
            except UnicodeDecodeError as error:
                fault = f"not UTF-8 at byte {error.start + 1} of line {number}"
                yield _Line(number, line.decode(errors="replace"), fault)


def _header(line: str, delimiter: str) -> list[str]:
    """Return the names between these delimiters; none if one would be longer than a cell may be."""
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return []


def _fault_of(error: csv.Error) -> str:
    for word, fault in _FAULTS.items():
        if word in str(error):
            return fault
    return _OPEN_QUOTE
