"""How rows are laid out: as a table while it fits the terminal, with prose wrapped between words if that helps, else row by row.

An id, a code or the name of a field is never broken. What is not a terminal gets plain columns, one row a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

_BOXED, _BARE = 3, 1  # what each column costs beside its content
_PROSE = 10  # no cell is wrapped to less


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], width: int) -> RenderableType:
    """For a terminal of this width."""
    kept = [[_cell(value) for value in row] for row in rows]
    numeric = _numeric(columns, rows if isinstance(rows, list) else kept, kept)
    natural = [max(map(len, (column, *(row[at] for row in kept)))) for at, column in enumerate(columns)]
    narrowest = [max(map(_longest_word, (column, *(row[at] for row in kept)))) for at, column in enumerate(columns)]
    if sum(natural) + _BOXED * len(columns) + 1 <= width:
        return _table(title, columns, kept, numeric, natural, boxed=True)
    if sum(natural) + _BARE * (len(columns) - 1) <= width:
        return _table(title, columns, kept, numeric, natural, boxed=False)
    widths = _wrapped(natural, narrowest, width - _BARE * (len(columns) - 1))
    if widths:
        return _table(title, columns, kept, numeric, widths, boxed=False)
    return _records(title, columns, kept)


def _wrapped(natural: Sequence[int], narrowest: Sequence[int], width: int) -> list[int]:
    """Widths that fit if cells are wrapped between words, the widest first; nothing when none do."""
    floors = [max(least, min(most, _PROSE)) for least, most in zip(narrowest, natural, strict=True)]
    widths = list(natural)
    while sum(widths) > width:
        wide = [at for at in range(len(widths)) if widths[at] > floors[at]]
        if not wide:
            return []
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def plain_lines(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """For what is no terminal: a line a row, columns apart by two spaces or more."""
    kept = [[_cell(value).replace("\n", " ") for value in row] for row in rows]
    widths = [max(map(len, (column, *(row[at] for row in kept)))) for at, column in enumerate(columns)]
    lines = [
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in (list(columns), *kept)
    ]
    return [title, *lines] if title else lines


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _numeric(columns: Sequence[str], rows: Iterable[Sequence[Any]], kept: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold numbers alone."""
    whole = list(rows)
    return [
        bool(kept) and all(_is_number(row[at]) for row in whole) for at in range(len(columns))
    ]  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or str(value).replace(",", "").replace(".", "", 1).isdecimal()


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool], widths: Sequence[int], *, boxed: bool
) -> Table:  # fmt: skip
    look: dict[str, Any] = {} if boxed else {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False}
    table = Table(title=escape(title) or None, title_justify="left", header_style="bold", **look)
    for column, right, width in zip(columns, numeric, widths, strict=True):
        table.add_column(escape(column), justify="right" if right else "left", min_width=width, max_width=width)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _records(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Group:
    """Each row by itself: a line for each field that is not empty. A word that is longer than a line runs on."""
    label = max(map(len, columns))
    parts: list[Text] = [Text(title, style="italic")] if title else []
    for number, row in enumerate(rows):
        if number:
            parts.append(Text(""))
        for column, value in zip(columns, row, strict=True):
            if value:
                parts.append(Text.assemble((column.ljust(label), "bold"), "  ", value))
    return Group(*parts)
