"""Files that commands write hold personal data: for their owner alone, and in the place of nothing but a file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.files import write_private
from app.errors import UsageError


def test_a_file_is_for_its_owner_alone_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text("before")
    path.chmod(0o644)
    assert write_private(path, [b"a", b"b"]) == 2
    assert path.read_bytes() == b"a\nb\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to a device", "link to a file"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "export"
    (tmp_path / "file").write_bytes(b"kept")
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link to a device":
            path.symlink_to(os.devnull)
        case _:
            path.symlink_to("file")
    before = path.lstat()
    with pytest.raises(UsageError, match="is not a file"):
        write_private(path, [b"a"])
    assert path.lstat() == before
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a file"):
        write_private(Path(name), [b"a"])


@pytest.mark.parametrize("name", ["x" * 300, "none/x", "nul\0"])
def test_what_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_private(tmp_path / name, [b"a"])


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    path.write_bytes(b"kept")

    def lines() -> Iterator[bytes]:
        yield b"a"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UsageError, match="No space left") as caught:
        write_private(path, lines())
    assert "Make room" in caught.value.remedy
    assert path.read_bytes() == b"kept"
    assert len(list(tmp_path.iterdir())) == 1
