"""Splits a body that is not valid JSON as a whole, so that each profile can be read by itself. Pure.

A broken profile then costs its neighbours nothing: brackets and commas show where it ends, whatever it holds. If the body's
last bracket is missing, nobody can tell what was cut off, and nothing is taken.
"""

from __future__ import annotations

import re
from itertools import islice

import orjson

from app.files.kinds import is_object

DEPTH = 6  # nested brackets that one match passes over; profiles hardly have more
_MOST_MEMBERS = 1_000  # besides the profiles
MOST_STEPS = 100_000  # deeper or broken brackets and empty elements, taken one by one: a tenth of a second

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TEXT = rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+'
_NESTED = rb"[{\[]" + _TEXT + rb"[}\]]"
for _ in range(DEPTH - 1):
    _NESTED = rb"[{\[]" + _TEXT + rb"(?:" + _NESTED + _TEXT + rb")*+[}\]]"
# both stop at a surplus or too deep bracket, at the quote of an unterminated string, or at the end
_TO_COMMA = re.compile(rb'(?:[^"{}\[\],]++|' + _STRING + rb"|" + _NESTED + rb")*+(.?)", re.DOTALL)
# no lookahead: with a bracket that never closes, each later one would search to the end
_TO_BRACKET = re.compile(_TEXT + rb"(.?)", re.DOTALL)
# an element followed by another without a comma
_TWO = re.compile(rb"\s*" + _NESTED + rb"\s*[{\[]", re.DOTALL)
_LINE = re.compile(rb"[^\r\n]*[^\s][^\r\n]*")
_PROFILES = re.compile(rb'\s*"profiles"\s*:\s*(?=\[)')
# if one of these precedes a line that is an object, the line belongs to a document over many lines
_GOING_ON = (b"[", b",", b":")


def pieces(body: bytes, most: int) -> list[bytes] | None:
    """Return the elements of an array or of `{"profiles": […]}`, or else the lines; None if the body is neither.

    It stops soon after `most` pieces.
    """
    text = body.strip()
    spans = _spans_of_document(text, most)
    if spans is not None:
        return [text[start:end] for start, end in spans]
    lines = [found[0] for found in islice(_LINE.finditer(text), most + 1)]
    return lines if len(lines) > 1 and _has_object(lines) else None


def _has_object(lines: list[bytes]) -> bool:
    """Return whether a line is an object by itself; in an array printed over many lines and cut short, none is."""
    before = b""
    for line in lines:
        if before not in _GOING_ON and is_object(line.strip(b" \t")):
            return True
        before = line.rstrip()[-1:]
    return False


def _spans_of_document(text: bytes, most: int) -> list[tuple[int, int]] | None:
    at = 0 if text[:1] == b"[" else _array_of_profiles(text)
    cut = None if at is None else _cut(text, at, most)
    if at is None or cut is None:
        return None
    spans, end = cut
    whole = len(spans) > most or (end == len(text) if at == 0 else _holds_profiles(text[:at] + b"[]" + text[end:]))
    return spans if whole else None


def _array_of_profiles(text: bytes) -> int | None:
    """Return where the array of an object's member `profiles` opens."""
    if text[:1] != b"{":
        return None
    at = 1
    for _ in range(_MOST_MEMBERS):
        if found := _PROFILES.match(text, at):
            return found.end()
        member = _TO_COMMA.match(text, at)
        if member is None or member[1] != b",":
            return None
        at = member.end()
    return None


def _holds_profiles(without: bytes) -> bool:
    """Return whether the text is a whole document around its profiles, and not itself a profile."""
    try:
        document = orjson.loads(without)
    except orjson.JSONDecodeError:
        return False
    return document["profiles"] == [] and "identityMap" not in document


def _cut(text: bytes, at: int, most: int) -> tuple[list[tuple[int, int]], int] | None:
    """Return the spans of the elements of the array that opens at `at`, and where it closes.

    Ends early after more than `most`. None: the array does not close, or is nested too deeply.
    """
    spans: list[tuple[int, int]] = []
    at = start = at + 1
    steps = depth = 0
    while len(spans) <= most and steps <= MOST_STEPS:
        found = (_TO_BRACKET if depth else _TO_COMMA).match(text, at)
        assert found is not None  # both also match empty text
        at, mark = found.end(), found[1]
        if mark in (b"", b'"'):
            return None
        if depth == 0 and mark in b",]":
            if text[start : at - 1].strip():
                if _TWO.match(text, start, at - 1):
                    return None  # something is missing, and this piece holds more than one profile
                spans.append((start, at - 1))
            else:
                steps += 1
            if mark == b"]":
                return spans, at
            start = at
        else:
            steps += 1
            depth = depth + 1 if mark in b"{[" else max(0, depth - 1)
    return (spans, at) if len(spans) > most else None
