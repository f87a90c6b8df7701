"""Reading takes the memory of a record or a block, however many records a file has and however long one is."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.files.reading import Files
from app.files.records import LONGEST_RECORD_BYTES
from app.files.streams import zstd
from app.mapping.update import Reason


def profile(number: int) -> str:
    return json.dumps({"identityMap": {"crm": [{"id": f"k{number}"}]}, "person": {"first": f"Ann {number}"}}, indent=1)


def json_lines(count: int) -> Iterator[str]:
    return (profile(number).replace("\n", "") + "\n" for number in range(count))


def array(count: int) -> Iterator[str]:
    yield "["
    yield from (f"{',' if number else ''}{profile(number)}" for number in range(count))
    yield "]"


def table(count: int) -> Iterator[str]:
    yield "identityMap.crm,person.first\n"
    yield from (f"k{number},Ann {number}\n" for number in range(count))


def read(path: Path) -> tuple[Counter[Reason | None], int]:
    """How many records there are by their reason, and the most bytes that reading them took."""
    tracemalloc.start()
    try:
        files = Files([str(path)], lambda: pytest.fail("not asked for"))
        return Counter(record.reason for record in files.records()), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("write", "pack"),
    [(json_lines, None), (array, None), (table, None), (table, gzip.compress), (json_lines, zstd.compress)],
    ids=["lines", "array", "table", "table in gzip", "lines in zstd"],
)
def test_more_records_take_no_more(
    tmp_path: Path, write: Callable[[int], Iterator[str]], pack: Callable[[bytes], bytes] | None
) -> None:
    peaks = []
    fewest = 15_000 if write is table else 4_000  # more than the head of a file holds
    for count in (fewest, 2 * fewest):
        content = "".join(write(count)).encode()
        path = tmp_path / f"{count}"
        path.write_bytes(pack(content) if pack else content)
        del content
        found, peak_bytes = read(path)
        assert found == {None: count}
        peaks.append(peak_bytes)
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("opening", ["", "["], ids=["lines", "array"])
def test_profiles_of_ten_megabytes_are_passed_over(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "profiles"
    large = '{"identityMap": {"crm": [{"id": "k"}]}, "noise": "' + "x" * 10_000_000 + '"}'
    path.write_text(opening + (",\n" if opening else "\n").join([large] * 4) + ("]" if opening else ""))
    found, peak_bytes = read(path)
    assert found == {Reason.TOO_LARGE: 4}
    assert peak_bytes < 3 * LONGEST_RECORD_BYTES
