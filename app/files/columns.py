"""Turns the columns of a table into profiles: each column has its place in XDM. Pure.

The place is the column's own name, such as `personalEmail.address`, or what a columns file says. Most places are paths of
keys, written as in a mapping (`emails[0].address`, `props['a.b']`); two have special forms:

- `identityMap.NAMESPACE`: the one id of this namespace.
- `segmentMembership.NAMESPACE.SEGMENT`: the status, alone or with the time of qualification:
  `realized@2026-11-22T10:00:00Z`. With `.status` or `.lastQualificationTime` appended, the place is that part alone.

An empty cell is not mentioned in the profile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from itertools import pairwise
from typing import Any

import orjson

from app.errors import UsageError
from app.mapping.paths import Path, read_path, spell

Keys = Path
HIGHEST_POSITION = 99  # in a list: earlier positions are filled up
MOST_HINTS = 10  # each one compares every column
IDENTITIES, MEMBERSHIPS = "identityMap", "segmentMembership"
_PARTS = ("status", "lastQualificationTime")


class Type(StrEnum):
    """How the text of a cell is read; values that are not text are taken as they are."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"


class BadCell(ValueError):
    """A cell cannot be read as its type; the text names the column but never the value."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where a column goes, and what it holds."""

    path: str
    type: Type = Type.TEXT


class Columns:
    """The columns of one table. Raises: `UsageError` if two of them go to one place, or named ones are missing."""

    def __init__(self, header: Sequence[str], given: Mapping[str, Column] | None) -> None:
        names = [name.strip() for name in header]
        times = Counter(names)
        problems = [f"{name!r} is there twice." for name, count in times.items() if name and count > 1]
        if given is not None:
            missing = [name for name in given if name not in times]
            problems += [_missing(name, names if at < MOST_HINTS else ()) for at, name in enumerate(missing)]
            found = {at: given[name] for at, name in enumerate(names) if name in given}
        else:
            found = {at: Column(name) for at, name in enumerate(names) if name}
        cells = []
        for at, column in found.items():
            try:
                keys = _keys(column.path)
            except ValueError:
                if given is not None:
                    problems.append(
                        f"{column.path!r} is no path: write it as a mapping does, such as emails[0].address."
                    )
                    continue
                keys = (column.path,)  # an arbitrary name, such as `Price [EUR]`, that no mapping reads
            if any(isinstance(key, int) and key > HIGHEST_POSITION for key in keys):
                problems.append(f"{column.path!r} has a position above {HIGHEST_POSITION}.")
            else:
                cells.append((at, keys, _READERS[column.type], names[at]))
        self._cells = tuple(cells)
        self._in_lists = tuple((at, keys, name) for at, keys, _, name in cells if isinstance(keys[-1], int))
        problems += _clashes([keys for _, keys, _, _ in self._cells])
        if problems:
            raise UsageError("Its columns have problems.", problems=tuple(problems))

    def profile(self, cells: Sequence[Any]) -> dict[str, Any]:
        """Return the profile of one row, which has as many cells as the header. Raises: `BadCell`."""
        profile: dict[str, Any] = {}
        for at, keys, read, name in self._cells:
            value = cells[at]
            if value is None or value == "":
                continue
            if isinstance(value, str):
                try:
                    value = read(value)
                except ValueError as error:
                    raise BadCell(f"column {name} is not {error}") from None
            _put(profile, keys, value)
        for at, keys, name in self._in_lists:
            if (cells[at] is None or cells[at] == "") and _is_filled_up(profile, keys):
                # null could empty an attribute
                raise BadCell(f"column {name} is empty, and its list goes on behind it")
        return profile

    @property
    def places(self) -> dict[str, Keys]:
        """Where each column goes, by name."""
        return {name: keys for _, keys, _, name in self._cells}

    def sample(self) -> dict[str, Any]:
        """Return a profile with something in each column."""
        profile: dict[str, Any] = {}
        for _, keys, _, _ in self._cells:
            _put(profile, keys, "1")
        return profile


def _keys(path: str) -> Keys:
    """Return the keys of a path. Raises: `ValueError` for brackets that do not belong to a path."""
    if ("[" in path or "]" in path) and not path.startswith((f"{MEMBERSHIPS}.", f"xdm:{MEMBERSHIPS}.")):
        return read_path(path)
    parts = path.split(".")
    if parts[0] in (f"xdm:{IDENTITIES}", f"xdm:{MEMBERSHIPS}"):  # their values have special forms
        parts[0] = parts[0].removeprefix("xdm:")
    if parts[0] == IDENTITIES and len(parts) > 1:
        return IDENTITIES, ".".join(parts[1:])
    if parts[0] == MEMBERSHIPS and len(parts) > 2:
        part = (parts.pop(),) if parts[-1] in _PARTS and len(parts) > 3 else ()
        return MEMBERSHIPS, parts[1], ".".join(parts[2:]), *part
    return tuple(parts)


def _put(profile: dict[str, Any], keys: Keys, value: Any) -> None:
    if len(keys) == 2 and keys[0] == IDENTITIES and isinstance(value, str | int | float):
        value = [{"id": value}]
    elif len(keys) == 3 and keys[0] == MEMBERSHIPS and isinstance(value, str):
        status, _, when = value.partition("@")
        value = {"status": status, "lastQualificationTime": when} if when else {"status": status}
    inner: Any = profile
    for key, following in pairwise(keys):
        found = _at(inner, key)
        if found is None:
            found = [] if isinstance(following, int) else {}
            _set(inner, key, found)
        inner = found
    _set(inner, keys[-1], value)


def _is_filled_up(profile: dict[str, Any], keys: Keys) -> bool:
    """Return whether a list has a value after a place that has none."""
    holder: Any = profile
    for key in keys[:-1]:
        holder = _at(holder, key)
        if holder is None:
            return False
    return int(keys[-1]) < len(holder)


def _at(holder: Any, key: str | int) -> Any:
    """Return what is at a key or position; None for nothing yet."""
    if isinstance(key, int):
        return holder[key] if key < len(holder) else None
    return holder.get(key)


def _set(holder: Any, key: str | int, value: Any) -> None:
    if isinstance(key, int):
        holder += [None] * (key + 1 - len(holder))  # earlier positions may still come, or are empty in this row
    holder[key] = value


class _Place:
    """A place in the profile with those within it. `taken`: a column goes there."""

    __slots__ = ("inner", "taken")

    def __init__(self) -> None:
        self.inner: dict[str | int, _Place] = {}
        self.taken = False


def _clashes(places: list[Keys]) -> list[str]:
    """Return problems: places within one another, duplicates, a list for one column and an object for another, or gaps.

    Before objects a gap does no harm; before a value it would be null, which can empty an attribute.
    """
    times = Counter(places)
    problems = [f"Two columns lead to {spell(keys)}." for keys, count in times.items() if count > 1]
    top = _Place()
    for keys in times:
        place = top
        for key in keys:
            place = place.inner.setdefault(key, _Place())
        place.taken = True
    for keys in times:
        place = top.inner[keys[0]]
        for depth, key in enumerate(keys[1:], 1):
            if place.taken:
                problems.append(f"{spell(keys[:depth])} is a column, and {spell(keys)} is within it.")
            if type(next(iter(place.inner))) is not type(key):
                problems.append(f"{spell(keys[:depth])} is a list for one column, and an object for {spell(keys)}.")
            if isinstance(key, int) and place.inner[key].taken and any(at not in place.inner for at in range(key)):
                problems.append(f"{spell(keys)} is a column, and not each position before it is one.")
            place = place.inner[key]
    return problems


def _missing(name: str, names: Sequence[str]) -> str:
    likely = get_close_matches(name, [one for one in names if one], n=1)
    return f"There is no column {name!r}.{f' Did you mean {likely[0]!r}?' if likely else ''}"


def _number(text: str) -> int | float:
    try:
        value: Any = orjson.loads(text.strip())
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")  # noqa: TRY004  # the cell is text, whatever it reads as
    return value


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise ValueError("true or false")
    return word == "true"


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("JSON") from None


_READERS: dict[Type, Callable[[str], Any]] = {
    Type.TEXT: lambda text: text,
    Type.NUMBER: _number,
    Type.BOOLEAN: _boolean,
    Type.JSON: _json,
}
