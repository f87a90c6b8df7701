"""CSV and Parquet: rows become profiles, a broken row is excluded alone, with the number of its line."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from app.errors import UsageError
from app.files.csv_rows import CsvRows
from app.files.parquet_rows import ParquetRows
from app.files.records import LONGEST_RECORD_BYTES, Damaged
from app.mapping.update import Reason

cells = st.text(st.sampled_from('ab,;\t"\r\n ü|'), max_size=6)


def read(content: bytes):
    rows = CsvRows(io.BytesIO(content), None)
    return [rows.record(number, item) for number, item in rows.items()]


@given(rows=st.lists(st.tuples(cells, cells), max_size=5), delimiter=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n"]),
       mark=st.booleans())  # fmt: skip
def test_what_was_written_is_read(rows, delimiter, end, mark) -> None:
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("a.b", "c"), *rows])
    content = target.getvalue().encode("utf-8-sig" if mark else "utf-8")
    expected = [
        {**({"a": {"b": first}} if first else {}), **({"c": second} if second else {})} for first, second in rows
    ]
    assert [record.profile for record in read(content)] == expected


def test_a_row_has_the_number_of_the_line_on_which_it_begins() -> None:
    content = b'\n a,b\n\n1,2\n"x\ny",3\n\n4,5\n'
    assert [(record.number, record.profile) for record in read(content)] == [
        (4, {"a": "1", "b": "2"}), (5, {"a": "x\ny", "b": "3"}), (8, {"a": "4", "b": "5"}),
    ]  # fmt: skip


def test_a_broken_row_is_excluded_alone() -> None:
    long = b"x" * (LONGEST_RECORD_BYTES + 10)
    content = b"a,b\n1,2\n1\n1,2,3\nR\xf6sli,2\n" + long + b',2\n7,8\n"' + b"y" * 200_000 + b'",2\n9,10\n'
    found = read(content)
    assert [record.profile for record in found if record.profile] == [
        {"a": "1", "b": "2"}, {"a": "7", "b": "8"}, {"a": "9", "b": "10"},
    ]  # fmt: skip
    assert [(record.number, record.reason, record.found) for record in found if record.reason] == [
        (3, Reason.MALFORMED_PROFILE, "1 cells, where the header has 2"),
        (4, Reason.MALFORMED_PROFILE, "3 cells, where the header has 2"),
        (5, Reason.MALFORMED_PROFILE, "not UTF-8 at byte 2 of line 5"),
        (6, Reason.TOO_LARGE, "longer than 4,000,000 bytes"),
        (8, Reason.MALFORMED_PROFILE, "a quote that is not closed, or a cell of more than 131,072 characters"),
    ]


OPEN = "a quote that is not closed, or a cell of more than 131,072 characters"
ROWS = "a quote that is not closed: the lines after it look like rows of their own; double the quotes within cells"
STRAY = "a quote within a quoted cell that is not doubled"


@pytest.mark.parametrize(
    ("damaged", "fault"),
    [
        ('c1,a@b.co,"Ann', OPEN),
        ('c1,a@b.co,"Ann"e', STRAY),
        ('c1,"a@b.co,Ann', OPEN),
        ('"c1,a@b.co,Ann', OPEN),
        ("c1,a@b.co,A\rnn", "a carriage return within a cell that is not quoted"),
    ],
)
def test_a_quote_takes_nothing_from_the_rows_after_it(damaged: str, fault: str) -> None:
    others = "".join(f"c{n},c{n}@b.co,Bob\n" for n in range(2, 9))
    found = read(f"a,b,c\nc0,c0@b.co,Zoe\n{damaged}\n{others}".encode())
    assert [record.number for record in found] == list(range(2, 11))
    assert [record.found for record in found if record.reason] == [fault]
    assert [record.profile["a"] for record in found if record.profile] == ["c0", *(f"c{n}" for n in range(2, 9))]


@pytest.mark.parametrize(
    ("closing", "fault", "others"),
    [
        ('c3,c@b.co,Cy"', ROWS, ["c2", "c3"]),
        ('c3,c@b.co",Cy', "4 cells, where the header has 3", ["c2", "c3"]),
        ('c3,"c@b.co",Cy', STRAY, ["c2", "c3"]),
    ],
)
def test_a_quote_that_a_later_row_closes_takes_nothing_either(closing: str, fault: str, others: list[str]) -> None:
    found = read(f'a,b,c\nc1,a@b.co,"Ann\nc2,b@b.co,Bob\n{closing}\nc4,d@b.co,Di\n'.encode())
    assert [record.found for record in found if record.reason] == [fault]
    assert [record.profile["a"] for record in found if record.profile] == [*others, "c4"]


@pytest.mark.parametrize(
    "text",
    [
        "5, High Street\nLondon",
        "Dear Ann,\nthank you, dear, and so on, Bob",
        'she said "yes, twice, today"\nand left',
        "a\n\nb",
        "a\n",
    ],
)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_texts_of_several_lines_are_read(text: str, quoting: Any) -> None:
    target = io.StringIO(newline="")
    csv.writer(target, quoting=quoting).writerows([("a", "b", "c"), ("c1", "a@b.co", text), ("c2", text, "b")])
    assert [record.profile for record in read(target.getvalue().encode())] == [
        {"a": "c1", "b": "a@b.co", "c": text}, {"a": "c2", "b": text, "c": "b"},
    ]  # fmt: skip


@given(
    rows=st.lists(st.tuples(*[st.text(st.sampled_from("ab1 @."), min_size=1, max_size=5)] * 3), min_size=1, max_size=8),
    damage=st.tuples(st.integers(0, 7), st.integers(0, 20)),
)
def test_one_damaged_row_takes_no_more_than_itself(rows: list[tuple[str, str, str]], damage: tuple[int, int]) -> None:
    lines = [",".join(row) for row in rows]
    which, where = damage[0] % len(lines), damage[1] % (len(lines[damage[0] % len(lines)]) + 1)
    lines[which] = lines[which][:where] + '"' + lines[which][where:]
    found = {record.number - 2: record for record in read("\n".join(["a,b,c", *lines]).encode())}
    assert set(found) == set(range(len(rows)))
    for number, (a, b, c) in enumerate(rows):
        if number != which:
            assert found[number].profile == {"a": a, "b": b, "c": c}


def test_a_header_with_a_fault() -> None:
    with pytest.raises(UsageError) as refused:
        CsvRows(io.BytesIO(b"a,b,a\n"), None)
    assert refused.value.problems == ("'a' is there twice.", "Two columns lead to a.")


def written(path, table: pa.Table) -> ParquetRows:
    parquet.write_table(table, path)
    return ParquetRows(str(path), None)


def test_parquet_as_platform_writes_it_and_with_paths_as_names(tmp_path) -> None:
    table = pa.table(
        {
            "identityMap": pa.array(
                [[("crm", [{"id": "k1", "primary": True}])], [("crm", [{"id": "k2", "primary": None}])]],
                pa.map_(pa.string(), pa.list_(pa.struct([("id", pa.string()), ("primary", pa.bool_())]))),
            ),
            "person": [{"name": {"firstName": "Ann"}}, None],
            "personalEmail.address": ["ann@mail.test", None],
            "loyalty.points": [1.5, 2.0],
            "segmentMembership.ups.renters": ["realized@2026-11-22T10:00:00Z", "exited"],
            "since": [date(2026, 11, 22), None],
            "seen": pa.array([datetime(2026, 11, 22, 10, tzinfo=UTC), None], pa.timestamp("ms", "UTC")),
            "price": [Decimal("1.50"), None],
            "raw": pa.array([b"text", b"\xff"], pa.binary()),
        }
    )
    rows = written(tmp_path / "profiles.parquet", table)
    assert rows.share == 0
    found = [rows.record(number, item) for number, item in rows.items()]
    assert rows.share == 1
    assert found[0].profile == {
        "identityMap": {"crm": [{"id": "k1", "primary": True}]},
        "person": {"name": {"firstName": "Ann"}},
        "personalEmail": {"address": "ann@mail.test"},
        "loyalty": {"points": 1.5},
        "segmentMembership": {
            "ups": {"renters": {"status": "realized", "lastQualificationTime": "2026-11-22T10:00:00Z"}}
        },
        "since": "2026-11-22",
        "seen": "2026-11-22T10:00:00+00:00",
        "price": "1.50",
        "raw": "text",
    }
    assert (found[1].number, found[1].reason, found[1].found) == (
        2, Reason.MALFORMED_PROFILE, "one of its columns holds binary data",
    )  # fmt: skip


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(pa.array([2**60, 0], pa.timestamp("us")), id="a time beyond what Python has"),
        pytest.param(pa.array([2**30, 0], pa.date32()), id="a day beyond it"),
        pytest.param(pa.array([[2**60], [0]], pa.list_(pa.timestamp("us"))), id="one within a list"),
    ],
)
def test_a_parquet_cell_that_cannot_be_read_excludes_its_row_alone(tmp_path, cells) -> None:
    rows = written(tmp_path / "p", pa.table({"a": ["1", "2"], "seen": cells}))
    first, second = [rows.record(*row) for row in rows.items()]
    assert (first.number, first.reason, first.profile) == (1, Reason.MALFORMED_PROFILE, None)
    assert first.found.startswith("column seen holds a value that cannot be read")
    assert second.profile is not None
    assert second.profile["a"] == "2"


def test_parquet_times_to_the_nanosecond_and_numbers_that_are_none(tmp_path) -> None:
    seen = pa.array([1_795_341_600_123_456_789, None], pa.timestamp("ns", "UTC"))
    rows = written(tmp_path / "p", pa.table({"seen": seen, "points": [float("nan"), 1.5]}))
    assert [rows.record(*row).profile for row in rows.items()] == [
        {"seen": "2026-11-22T10:00:00.123456+00:00"}, {"points": 1.5},
    ]  # fmt: skip


def test_nulls_within_objects_are_not_mentioned(tmp_path) -> None:
    rows = written(tmp_path / "p", pa.table({"person": [{"name": None, "born": {"year": 1, "month": None}}]}))
    assert [rows.record(*row).profile for row in rows.items()] == [{"person": {"born": {"year": 1}}}]


def test_parquet_that_is_damaged(tmp_path) -> None:
    path = tmp_path / "p"
    parquet.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Damaged):
        ParquetRows(str(path), None)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_header_longer_than_a_cell_may_be(delimiter: str) -> None:
    names = [f"attribute-{number:030}" for number in range(4_000)]
    content = "\n".join(delimiter.join(cells) for cells in (names, ["x"] * len(names))).encode()
    rows = CsvRows(io.BytesIO(content), None)
    assert [rows.record(*item).profile for item in rows.items()] == [dict.fromkeys(names, "x")]


def test_a_header_of_one_name_that_is_too_long() -> None:
    with pytest.raises(UsageError, match="header has a name of more than 131,072 characters") as refused:
        CsvRows(io.BytesIO(b"a" * 200_000 + b"\nx\n"), None)
    assert refused.value.remedy
