"""A pipe gives its bytes once, under whatever name: what was looked at to recognise it is read as well."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from app.errors import UsageError
from app.files.reading import Files
from app.files.streams import zstd

KEYS = [f"k{number}" for number in range(3000)]  # more than the head of a file holds
LINES = "".join(f'{{"identityMap": {{"crm": [{{"id": "{key}"}}]}}}}\n' for key in KEYS).encode()
CONTENTS = {
    "JSON Lines": LINES,
    "few lines": b"".join(LINES.splitlines(keepends=True)[:3]),
    "an array": json.dumps([json.loads(line) for line in LINES.splitlines()], indent=1).encode(),
    "CSV": ("identityMap.crm,person.first\n" + "".join(f"{key},Ann\n" for key in KEYS)).encode(),
    "gzip": gzip.compress(LINES),
    "zstd": zstd.compress(LINES),
}


@pytest.fixture
def piped() -> Iterator[Callable[[bytes], str]]:
    """The name of a pipe that gives this content, such as a shell hands over for <(…)."""
    begun: list[tuple[int, Thread]] = []

    def piped(content: bytes) -> str:
        reading, writing = os.pipe()

        def write() -> None:
            with suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:  # one that is refused is not read
                file.write(content)

        thread = Thread(target=write)
        thread.start()
        begun.append((reading, thread))
        return f"/dev/fd/{reading}"

    yield piped
    for reading, thread in begun:
        os.close(reading)
        thread.join()


def no_standard_input() -> io.BytesIO:
    pytest.fail("not asked for")


def read(*names: str) -> list[str]:
    files = Files(names, no_standard_input)
    return [record.profile["identityMap"]["crm"][0]["id"] for record in files.records()]


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_pipe_is_read_whole(piped: Callable[[bytes], str], content: bytes) -> None:
    assert read(piped(content)) == (KEYS[:3] if content is CONTENTS["few lines"] else KEYS)


def test_several_pipes_beside_files(piped: Callable[[bytes], str], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LINES)
    assert read(piped(LINES), str(tmp_path / "file"), piped(LINES)) == KEYS * 3


def test_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = Thread(target=path.write_bytes, args=(LINES,))
    writer.start()
    assert read(str(path)) == KEYS
    writer.join()


def test_a_pipe_is_of_no_size_and_no_fingerprint(piped: Callable[[bytes], str]) -> None:
    files = Files([piped(LINES)], no_standard_input)
    assert [(file.size, file.fingerprint) for file in files.recognised] == [(None, "")]
    assert sum(1 for _ in files.records(skip=1000)) == 2000


def test_a_pipe_that_is_named_twice_is_refused(piped: Callable[[bytes], str]) -> None:
    name = piped(LINES[:1000])
    with pytest.raises(UsageError, match="is named twice, but can be read only once"):
        Files([name, name.replace("/dev/fd", "/proc/self/fd")], no_standard_input)


def test_a_pipe_that_holds_no_profiles_is_refused(piped: Callable[[bytes], str]) -> None:
    with pytest.raises(UsageError) as refused:
        Files([piped(LINES[:1000]), piped(b"%PDF-1.7")], no_standard_input)
    [problem] = refused.value.problems
    assert "seems to be a PDF document" in problem
