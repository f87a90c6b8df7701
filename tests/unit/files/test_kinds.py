"""What a file holds is told by its first bytes; what holds no profiles is named."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from app.files.kinds import HEAD_BYTES, Compression, Kind, Unrecognised, compression_of, kind_of

PROFILE = '{"identityMap": {"crm": [{"id": "k1"}]}}'
PRETTY = '{\n  "identityMap": {\n    "crm": [\n      {"id": "k1"}\n    ]\n  }\n}\n'


def zipped(name: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, "content")
    return target.getvalue()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PROFILE, Kind.JSON_LINES),
        (f"{PROFILE}\n{PROFILE}\n", Kind.JSON_LINES),
        (f"\n\n  {PROFILE}\n", Kind.JSON_LINES),
        (f"﻿{PROFILE}\n", Kind.JSON_LINES),
        (f"no profile\n{PROFILE}\n", Kind.JSON_LINES),
        (f"{PROFILE[:-1]}\n{PROFILE}\n", Kind.JSON_LINES),
        (f"{PROFILE[:-1]}\nno profile\n{PROFILE}", Kind.JSON_LINES),
        (f"[{PROFILE}]", Kind.JSON),
        (f"﻿[\n  {PROFILE},\n {PROFILE}\n]\n", Kind.JSON),
        ("[]", Kind.JSON),
        ("[null, {}]", Kind.JSON),
        (PRETTY, Kind.JSON),
        (PRETTY + PRETTY, Kind.JSON),
        (f"{PROFILE}{PROFILE}", Kind.JSON),
        ("a.b,identityMap.crm\n1,2\n", Kind.CSV),
        ("﻿a.b;identityMap.crm\n1;2\n", Kind.CSV),
        ('"a.b"\t"identityMap.crm"\n1\t2', Kind.CSV),
    ],
)
def test_a_kind_of_text(text: str, kind: Kind) -> None:
    assert kind_of(text.encode(), complete=True) is kind
    if "\n" in text:
        assert kind_of(text.encode() + b"{" * 10, complete=False) is kind


def test_parquet() -> None:
    assert kind_of(b"PAR1\x15\x04\x00", complete=False) is Kind.PARQUET


def test_one_object_that_is_longer_than_the_head_is_json() -> None:
    assert kind_of(b'{"a": "' + b"x" * 1000, complete=False) is Kind.JSON


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (b"", "an empty file"),
        (b"\xef\xbb\xbf \n\n", "an empty file"),
        (PROFILE.encode("utf-16"), "text in UTF-16"),
        (PROFILE.encode("utf-16-le"), "text in UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-be"), "text in UTF-16"),
        (PROFILE.encode("utf-32"), "text in UTF-32"),
        ("a,b\nWürzburg,2\n".encode("cp1252"), "text that is not UTF-8"),
        (b"a,b\rc,d\r", "text whose lines end with a carriage return alone"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"<!DOCTYPE html><title>502</title>", "a web page (HTML)"),
        (b"\n<html><body>", "a web page (HTML)"),
        (b'<?xml version="1.0"?><a/>', "XML"),
        (zipped("xl/workbook.xml"), "an Excel workbook (xlsx) or another Office document"),
        (zipped("profiles.csv"), "a zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "an Excel workbook (xls) or another old Office document"),
        (b"BZh91AY", "packed with bzip2"),
        (b"\xfd7zXZ\x00", "packed with xz"),
        (gzip.compress(b"a", mtime=0), "packed with gzip twice"),
        (bytes(257) + b"ustar\x00" + bytes(100), "a tar archive"),
        (b"Obj\x01", "an Avro file"),
        (b"ORC\x08", "an ORC file"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"{\x01\x02\x03", "binary data"),
        (b"[1, 2, 3]", "a JSON array whose elements are no objects"),
        (b"[section]\nkey = 1\n", "text"),
        (b'{\n "profiles" : [{}]}', "a JSON object around a list of profiles"),
        (b"once upon a time\n", "text that is neither JSON nor a table with a header"),
    ],
)
def test_what_holds_no_profiles(content: bytes, seems: str) -> None:
    with pytest.raises(Unrecognised) as refused:
        kind_of(content, complete=True)
    assert refused.value.seems == seems
    assert refused.value.remedy


def test_what_a_file_is_packed_with() -> None:
    assert compression_of(gzip.compress(b"")) is Compression.GZIP
    assert compression_of(b"\x28\xb5\x2f\xfd\x00") is Compression.ZSTD
    assert compression_of(b"{}") is None


def test_a_letter_that_the_head_cuts_in_two_is_utf_8() -> None:
    content = "a,b\nWü".encode()
    assert kind_of(content[:-1], complete=False) is Kind.CSV


@pytest.mark.parametrize(
    ("head", "seems"),
    [
        (b"identityMap.crm,a.b,c", f"text whose first line is longer than {HEAD_BYTES:,} bytes"),
        (b"a,b\rc,d\re", "text whose lines end with a carriage return alone"),
    ],
)
def test_a_first_line_that_is_longer_than_the_head(head: bytes, seems: str) -> None:
    with pytest.raises(Unrecognised) as refused:
        kind_of(head, complete=False)
    assert refused.value.seems == seems
