"""Recognises what a file contains by its first bytes, never by its name. Pure."""

from __future__ import annotations

import codecs
import re
from enum import StrEnum
from typing import Any

import orjson

HEAD_BYTES = 256 * 1024  # the part examined; a CSV header has to end within it
DELIMITERS = ",;\t|"
BOM = codecs.BOM_UTF8
UNPACK = "Unpack it, and enqueue what is inside."


class Kind(StrEnum):
    JSON_LINES = "JSON Lines"
    JSON = "JSON"
    CSV = "CSV"
    PARQUET = "Parquet"


class Compression(StrEnum):
    GZIP = "gzip"
    ZSTD = "zstd"


class Unrecognised(ValueError):
    """Not a file of profiles. `seems`: what it looks like. `remedy`: what to do."""

    def __init__(self, seems: str, remedy: str = "") -> None:
        super().__init__(seems)
        self.seems = seems
        self.remedy = remedy or "Profiles come as JSON Lines, JSON, CSV or Parquet, plain or packed with gzip or zstd."


_COMPRESSED = ((b"\x1f\x8b", Compression.GZIP), (b"\x28\xb5\x2f\xfd", Compression.ZSTD))
_OTHERS = (
    (b"%PDF", "a PDF document", ""),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Excel workbook (xls) or another old Office document",
        "Save the sheet as CSV UTF-8.",
    ),
    (b"\x1f\x8b", "packed with gzip twice", UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed with zstd twice", UNPACK),
    (b"BZh", "packed with bzip2", UNPACK),
    (b"\xfd7zXZ\x00", "packed with xz", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Obj\x01", "an Avro file", "Convert it to Parquet or JSON Lines."),
    (b"ORC", "an ORC file", "Convert it to Parquet or JSON Lines."),
    (b"SQLite format 3\x00", "an SQLite database", "Export the table as CSV."),
    (b"\x89PNG", "an image", ""),
    (b"\xff\xd8\xff", "an image", ""),
)
_UTF_16 = "Make it UTF-8: `iconv -f {} -t UTF-8 FILE`."
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_WRAPPED = re.compile(rb'\{\s*"profiles"\s*:\s*\[')


def compression_of(head: bytes) -> Compression | None:
    return next((packed for magic, packed in _COMPRESSED if head.startswith(magic)), None)


def kind_of(head: bytes, *, complete: bool) -> Kind:
    """Return the kind of a file that begins like this. `complete`: there is no more. Raises: `Unrecognised`."""
    if head.startswith(b"PAR1"):
        return Kind.PARQUET
    _refuse_binary(head)
    text = head.removeprefix(BOM).lstrip()
    match text[:1]:
        case b"":
            raise Unrecognised("an empty file" if complete else "white space", "Look at what was to write it.")
        case b"[":
            return _array(text)
        case b"{":
            return _objects(text, complete=complete)
        case b"<":
            page = text[:200].lower().startswith((b"<!doctype html", b"<html"))
            raise Unrecognised(
                "a web page (HTML)" if page else "XML",
                "It may be the error page of whatever was asked for the file." if page else "",
            )
    if any(is_object(line) for line in _lines(text, complete=complete)):
        return Kind.JSON_LINES
    return _table(text, complete=complete)


def _refuse_binary(head: bytes) -> None:
    for magic, seems, remedy in _OTHERS:
        if head.startswith(magic):
            raise Unrecognised(seems, remedy)
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head[:4096] or b"[Content_Types].xml" in head[:4096]:
            raise Unrecognised("an Excel workbook (xlsx) or another Office document", "Save the sheet as CSV UTF-8.")
        raise Unrecognised("a zip archive", UNPACK)
    if head[257:262] == b"ustar":
        raise Unrecognised("a tar archive", UNPACK)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise Unrecognised("text in UTF-32", _UTF_16.format("UTF-32"))
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Unrecognised("text in UTF-16", _UTF_16.format("UTF-16"))
    start = head[:512]
    for offset, name in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if len(start) >= 2 and start[offset::2].count(0) > len(start) * 0.4 > start[1 - offset :: 2].count(0) * 4:
            raise Unrecognised("text in UTF-16", _UTF_16.format(name))
    if _CONTROL.search(head):
        raise Unrecognised("binary data")


def _array(text: bytes) -> Kind:
    """Recognise a JSON array, on one line or many."""
    first = text[1:].lstrip()[:1]
    if first in (b"{", b"[", b"]", b"n", b""):  # n: a null, excluded like any other element that is no profile
        return Kind.JSON
    raise Unrecognised("a JSON array whose elements are no objects" if first in b'"-0123456789' else "text")


def _objects(text: bytes, *, complete: bool) -> Kind:
    """Recognise JSON objects: one per line, or in any layout, such as printed over several lines."""
    if _WRAPPED.match(text):
        raise Unrecognised(
            "a JSON object around a list of profiles",
            "Enqueue the list: `jq -c '.profiles[]' FILE | activation enqueue DESTINATION -`.",
        )
    lines = _lines(text, complete=complete)
    if not lines:
        return Kind.JSON  # one line, longer than the head
    if is_object(lines[0]):
        return Kind.JSON_LINES
    # a broken first line is followed by another object, a pretty-printed one by its first name
    return Kind.JSON if len(lines) == 1 or lines[1].startswith((b'"', b"}")) else Kind.JSON_LINES


def _table(text: bytes, *, complete: bool) -> Kind:
    """Recognise rows with a header of several columns."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text, complete)
    except UnicodeDecodeError:
        raise Unrecognised(
            "text that is not UTF-8", "If it is Windows-1252: `iconv -f WINDOWS-1252 -t UTF-8 FILE`."
        ) from None
    lines = _lines(text, complete=complete)
    if b"\n" not in text and b"\r" in text.rstrip():
        raise Unrecognised("text whose lines end with a carriage return alone", "Convert it: `tr '\\r' '\\n'`.")
    if not lines:  # the head contains no line end
        raise Unrecognised(
            f"text whose first line is longer than {HEAD_BYTES:,} bytes",
            "If it is the header of a table, shorten its names or leave columns out.",
        )
    if not any(mark in lines[0].decode() for mark in DELIMITERS):
        raise Unrecognised("text that is neither JSON nor a table with a header")
    return Kind.CSV


def _lines(text: bytes, *, complete: bool) -> list[bytes]:
    """Return the complete lines that are not blank, stripped."""
    lines = text.split(b"\n")
    if not complete:
        lines.pop()
    return [stripped for line in lines if (stripped := line.strip())]


def is_object(line: bytes) -> bool:
    """Return whether a line, without surrounding spaces, is a JSON object."""
    try:
        found: Any = orjson.loads(line) if line.startswith(b"{") else None
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict)
