"""Lays rows out: as a table while it fits the terminal, with prose wrapped between words if that helps, else row by row.

An id, a code or the name of a field is never broken. Anything but a terminal gets plain columns, one row per line.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from app.cli.visible import visible

_BOXED, _BARE = 3, 1  # what each column costs besides its content
_PROSE = 10  # no cell is wrapped to a smaller width
_PROSE_COLUMNS = frozenset(
    {
        "name",
        "since",
        "failed at",
        "last profiles",
        "time",
        "why",
        "remedy",
        "what",
        "where or why",
        "where and why",
        "allowed values",
        "Marketing Cloud said",
        "profile",
    }
)
# the name of a field, which may contain spaces
_FIELD = re.compile(r"(?:mapping\[\d+\] )?\bEmail (?:Demographics|Addresses)\.[^:,;()\"]+")
_STAYS = "\u00a0"


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], width: int) -> RenderableType:
    """Lay rows out for a terminal of this width."""
    kept = [[_kept_whole(column, _cell(value)) for column, value in zip(columns, row, strict=True)] for row in rows]
    columns = [column.replace(" ", _STAYS) for column in columns]
    numeric = [bool(kept) and all(_is_number(row[at]) for row in kept) for at in range(len(columns))]
    natural = [max(map(len, (column, *(row[at] for row in kept)))) for at, column in enumerate(columns)]
    narrowest = [max(map(_longest_word, (column, *(row[at] for row in kept)))) for at, column in enumerate(columns)]
    if sum(natural) + _BOXED * len(columns) + 1 <= width:
        return _table(title, columns, kept, numeric, natural, boxed=True)
    if sum(natural) + _BARE * (len(columns) - 1) <= width:
        return _table(title, columns, kept, numeric, natural, boxed=False)
    widths = _wrapped(natural, narrowest, width - _BARE * (len(columns) - 1))
    if widths:
        return _table(title, columns, kept, numeric, widths, boxed=False)
    return _records(title, columns, kept, width)


def _wrapped(natural: Sequence[int], narrowest: Sequence[int], width: int) -> list[int]:
    """Return widths that fit if cells are wrapped between words, narrowing the widest first; empty if none fit."""
    floors = [max(least, min(most, _PROSE)) for least, most in zip(narrowest, natural, strict=True)]
    widths = list(natural)
    while sum(widths) > width:
        wide = [at for at in range(len(widths)) if widths[at] > floors[at]]
        if not wide:
            return []
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def plain_lines(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lay rows out for anything but a terminal: one line per row, columns at least two spaces apart."""
    kept = [[_cell(value).replace("\n", " ") for value in row] for row in rows]
    widths = [max(map(len, (column, *(row[at] for row in kept)))) for at, column in enumerate(columns)]
    lines = [
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in (list(columns), *kept)
    ]
    return [title, *lines] if title else lines


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else visible(str(value))


def _kept_whole(column: str, text: str) -> str:
    """Replace the spaces in names, where no line may break, by another character."""
    if column not in _PROSE_COLUMNS:
        return text.replace(" ", _STAYS)
    return _FIELD.sub(lambda found: found[0].replace(" ", _STAYS), text)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "", 1).removesuffix("%").isdecimal()


def _longest_word(text: str) -> int:
    return max(map(len, text.split(" ")), default=0)


def _shown(text: str, width: int, *, escaped: bool = True) -> str:
    """Wrap text to this width."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    shown = "\n".join(lines).replace(_STAYS, " ")
    return escape(shown) if escaped else shown


def _table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    widths: Sequence[int],
    *,
    boxed: bool,
) -> Table:
    look: dict[str, Any] = {} if boxed else {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False}
    table = Table(title=escape(title) or None, title_justify="left", header_style="bold", **look)
    for column, right, width in zip(columns, numeric, widths, strict=True):
        heading = escape(column.replace(_STAYS, " "))
        table.add_column(heading, justify="right" if right else "left", min_width=width, max_width=width, no_wrap=True)
    for row in rows:
        table.add_row(*(_shown(value, width) for value, width in zip(row, widths, strict=True)))
    return table


def _records(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Group:
    """Lay out each row by itself, one line per non-empty field. A name that is longer than a line stays whole."""
    label = max(map(len, columns))
    parts: list[Text] = [Text(title, style="italic")] if title else []
    for number, row in enumerate(rows):
        if number:
            parts.append(Text(""))
        for column, value in zip(columns, row, strict=True):
            if value:
                parts += _member(column.replace(_STAYS, " "), value, label, width)
    for part in parts:
        part.no_wrap, part.overflow = True, "ignore"
    return Group(*parts)


def _member(column: str, value: str, label: int, width: int) -> list[Text]:
    """Lay out one field of a row; what does not fit beside its name goes below it."""
    room = width - label - 2
    if _longest_word(value) <= room:
        first, *rest = _shown(value, room, escaped=False).splitlines()
        return [
            Text.assemble((column.ljust(label), "bold"), "  ", first),
            *(Text(f"{'':{label}}  {line}") for line in rest),
        ]
    room = width - 2
    if _longest_word(value) > room:
        value = value.replace(_STAYS, " ")
    return [
        Text(column, style="bold"),
        *(Text(f"  {line}") for line in _shown(value, room, escaped=False).splitlines()),
    ]
