"""JSON in any layout: an array of profiles, or profiles one after another, on one line or printed over many.

The text is cut at the brackets that end each element, and each element is parsed by itself: a broken one is excluded alone,
one that is too long is skipped, and memory holds one element at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import orjson

from app.files.kinds import BOM
from app.files.records import LONGEST_RECORD_BYTES, Record, json_record

BLOCK_BYTES = 256 * 1024
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
# text and whole strings, then a bracket, the quote of an unfinished string, or nothing
_TO_MARK = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+(["{}\[\]]?)', re.DOTALL)
# values that are no objects, each with the comma after it
_ENDED_VALUES = re.compile(rb'(?:[^",]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^",]*+)*+,)*+', re.DOTALL)
_SPACE = b" \t\r\n,"


class JsonTexts:
    """The elements of a JSON text. `cut_off`: set if the text ended within an element or array."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.cut_off = False

    def items(self) -> Iterator[tuple[int, bytes | None]]:
        yield from enumerate(self._elements(), 1)

    def record(self, number: int, item: bytes | None) -> Record:
        return json_record(number, item)

    def _elements(self) -> Iterator[bytes | None]:
        text, at, start = b"", 0, 0  # `start`: where the element, or the gap before the next one, begins
        depth = outside = 0  # elements are deeper than `outside`, which is 1 within an array, else 0
        in_string = skipping = False
        first = True
        while block := self._stream.read(BLOCK_BYTES):
            if first:
                block, first = block.removeprefix(BOM), False
            text, at, start = text[start:] + block, at - start, 0
            if in_string:
                at = _ended(_IN_STRING.match(text, at))
                in_string = text[at : at + 1] != b'"'  # else the string continues
                at += not in_string
                if skipping:
                    start = at
            for found in () if in_string else _TO_MARK.finditer(text, at):
                at, mark = found.end(), found[1]
                if mark == b"":
                    break
                if mark == b'"':
                    # or this string would be skipped with the value before it
                    if skipping and depth == outside and (comma := text.find(b",", start, at)) >= 0:
                        yield None
                        start, skipping = comma + 1, False
                    in_string, at = True, _ended(_IN_STRING.match(text, at))
                    break
                if mark in b"{[":
                    if depth == outside:
                        yield from _scalars(text[start : at - 1], skipping)
                        start, skipping = at - 1, False
                        if depth == 0 and mark == b"[":
                            outside, start = 1, at
                    depth += 1
                elif depth == outside:  # the end of the array, or a surplus bracket
                    yield from _scalars(text[start : at - 1], skipping)
                    depth = outside = 0
                    start, skipping = at, False
                else:
                    depth -= 1
                    if depth == outside:
                        yield None if skipping or at - start > LONGEST_RECORD_BYTES else text[start:at]
                        start, skipping = at, False
            if at - start > LONGEST_RECORD_BYTES and depth == outside:
                ended = _ended(_ENDED_VALUES.match(text, start, at))
                if ended > start:
                    yield from _scalars(text[start:ended], skipping)
                    start, skipping = ended, False
                if not skipping:
                    start = at - len(text[start:at].lstrip(_SPACE))
            if at - start > LONGEST_RECORD_BYTES:
                start, skipping = at, True
        rest = text[start:]
        if depth > outside:
            self.cut_off = True
            yield None if skipping else rest
        else:
            self.cut_off = outside == 1
            yield from _scalars(rest, skipping)


def _ended(match: re.Match[bytes] | None) -> int:
    assert match is not None  # both patterns match empty text
    return match.end()


def _scalars(gap: bytes, skipping: bool) -> Iterator[bytes | None]:
    """Yield what is between objects and is not one: each value by itself, or everything if it is no JSON.

    `skipping`: it begins within a value that was too long, for which None is yielded.
    """
    if skipping:
        yield None
        gap = gap.partition(b",")[2]
    gap = gap.strip(_SPACE)
    if not gap:
        return
    try:
        found = orjson.loads(b"[" + gap + b"]")
    except orjson.JSONDecodeError:
        yield _bounded(gap)
        return
    for value in found:
        yield _bounded(orjson.dumps(value))


def _bounded(text: bytes) -> bytes | None:
    return text if len(text) <= LONGEST_RECORD_BYTES else None
