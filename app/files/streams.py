"""Opens a file or standard input: decompressed, with its beginning read in advance."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from app.errors import UsageError
from app.files.kinds import HEAD_BYTES, Compression, compression_of
from app.files.records import Damaged

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STANDARD_INPUT = "-"
DAMAGED = (Damaged, EOFError, OSError, zlib.error, zstd.ZstdError)  # what reading may raise half-way


@dataclass(slots=True)
class Opened:
    """A file of `size` bytes (None if unknown). `stream`: its decompressed content, from the beginning.

    `head`: that beginning. `complete`: there is no more.
    """

    name: str
    raw: BinaryIO
    stream: BinaryIO
    compression: Compression | None
    head: bytes
    complete: bool
    size: int | None

    def consumed(self) -> int:
        """Return the bytes of the file read so far."""
        return self.raw.tell() if self.size is not None else 0

    def close(self) -> None:
        self.stream.close()
        self.raw.close()


def open_file(name: str, standard_input: Callable[[], BinaryIO] | None = None) -> Opened:
    """Open a file, or what `standard_input` returns.

    Raises: `UsageError` if it cannot be read, or is damaged at the very beginning.
    """
    try:
        raw: BinaryIO = standard_input() if standard_input else Path(name).open("rb", buffering=0)  # noqa: SIM115  # `close` closes it
        size = None if standard_input else _size(raw)
        packed = _with_head(raw, _read(raw, 4))
        compression = compression_of(packed.peek(4)[:4])
        stream: BinaryIO = packed
        if compression is Compression.GZIP:
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=packed))
        elif compression is Compression.ZSTD:
            stream = cast("BinaryIO", zstd.ZstdFile(packed))
        head = _read(stream, HEAD_BYTES + 1)
    except DAMAGED as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged, or cut off"
        raise UsageError(f"{shown(name)} cannot be read: {reason}.") from error
    return Opened(name, raw, _with_head(stream, head), compression, head, len(head) <= HEAD_BYTES, size)


def shown(name: str) -> str:
    return "Standard input" if name == STANDARD_INPUT else name


def _size(raw: BinaryIO) -> int | None:
    """Return the size; None for pipes and devices."""
    about = os.fstat(raw.fileno())
    return about.st_size if stat.S_ISREG(about.st_mode) else None


def _read(stream: BinaryIO, most: int) -> bytes:
    """Read that many bytes, or all there are; a pipe delivers them piece by piece."""
    found = bytearray()
    while len(found) < most and (block := stream.read(most - len(found))):
        found += block
    return bytes(found)


class _Joined(io.RawIOBase):
    """The bytes already read, then the rest of the stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        block = self._head[: len(target)] if self._head else self._rest.read(len(target))
        self._head = self._head[len(block) :]
        target[: len(block)] = block
        return len(block)


def _with_head(stream: BinaryIO, head: bytes) -> io.BufferedReader:
    return io.BufferedReader(_Joined(head, stream), buffer_size=128 * 1024)
