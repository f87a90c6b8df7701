"""The folder of one installation on this machine: its private Redis, its keys, its logs, and what runs in it.

Each of our processes holds a lock file for as long as it lives, which the system releases however the process ends; the
file contains its process id. Locks therefore show what is running, and an id that another program has by now is never
mistaken for ours.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.errors import UsageError
from app.sealing import make_key

END_SECONDS = 40.0
LOOK_SECONDS = 0.05  # looking up who holds a lock takes it for a moment


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of an installation. Only `create`, and later whoever writes into it, makes anything."""

    path: Path

    @property
    def exists(self) -> bool:
        return (self.path / "redis").is_dir()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def secret_keys(self) -> Path:
        return self.path / "secret-keys"

    @property
    def addresses(self) -> Path:
        return self.path / "run" / "addresses.json"

    @property
    def written_bytes(self) -> int:
        """The size of the private Redis's append-only file, which is several files."""
        total = 0
        for path in (self.path / "redis" / "appendonlydir").glob("*"):
            with suppress(FileNotFoundError):  # it was rewritten meanwhile
                total += path.stat().st_size
        return total

    def create(self) -> None:
        """Create the folders, accessible only to their owner. Raises: `UsageError` if that fails."""
        try:
            for folder in (self.path, self.path / "redis", self.path / "run", self.logs):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            in_place = isinstance(error, FileExistsError | NotADirectoryError)
            raise UsageError(
                f"{self.path} cannot hold an installation: {'a file is in its place' if in_place else error.strerror}.",
                remedy="Name another folder in ACTIVATION_HOME.",
            ) from error

    def expect(self) -> None:
        """Check, for commands that only read, that there is an installation here. Raises: `UsageError`."""
        try:
            is_file, exists = self.path.is_file(), self.exists
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be read: {error.strerror}.",
                remedy="Run this as the user whose installation it is, or name another folder in ACTIVATION_HOME.",
            ) from error
        if is_file:
            raise UsageError(f"{self.path} is a file.", remedy="ACTIVATION_HOME names the folder of an installation.")
        if not exists:
            raise UsageError(
                f"There is no installation in {self.path}.",
                remedy="Run this in the folder where `activation up` runs, or name its home in ACTIVATION_HOME, or a Redis in "
                "ACTIVATION_REDIS_URL.",
            )

    def keys(self) -> str:
        """Return the sealing keys of the private Redis, creating them if there is no data yet.

        Raises: `UsageError` if they are lost.
        """
        if not self.secret_keys.exists() and any((self.path / "redis").glob("appendonlydir/*")):
            raise UsageError(
                f"The keys of this installation are lost: there is data in {self.path / 'redis'}, and no {self.secret_keys.name}.",
                remedy="Put the file back, or its keys into ACTIVATION_SECRET_KEYS. Nothing opens the data without them; to begin "
                "anew, move the folder away.",
            )
        return read_or_make(self.secret_keys, make_key())

    def lock(self, name: str) -> Lock:
        return Lock(self.path / "run" / f"{name}.lock")

    def running(self) -> dict[str, int]:
        """Return the process id of everything that runs here, by name."""
        found = {}
        for path in sorted((self.path / "run").glob("*.lock")):
            if (pid := Lock(path).holder()) is not None:
                found[path.stem] = pid
        return found


@dataclass(frozen=True, slots=True)
class Lock:
    """A file that a process keeps locked for as long as it lives."""

    path: Path

    def take(self) -> int | None:
        """Return the open, locked file, or None if another process has it. The caller closes it or hands it to a child."""
        deadline = time.monotonic() + LOOK_SECONDS
        while (handle := self._locked(fcntl.LOCK_EX)) is None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS / 10)
        return handle

    def _locked(self, kind: int) -> int | None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def name_holder(self, handle: int, pid: int) -> None:
        """Record who holds the lock."""
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(pid).encode(), 0)

    def holder(self) -> int | None:
        """Return the process that holds the lock, or None."""
        if not self.path.exists():
            return None
        handle = self._locked(fcntl.LOCK_SH)  # shared: two that look at once must not mistake each other for holders
        if handle is not None:
            os.close(handle)
            return None
        with suppress(ValueError):
            return int(self.path.read_text() or 0)
        return 0

    def end(self, *, timeout_seconds: float = END_SECONDS) -> bool:
        """End the holder, by TERM and finally by KILL. Returns whether there was one."""
        pid = self.holder()
        if not pid:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + timeout_seconds
            while self.holder() is not None and time.monotonic() < deadline:
                time.sleep(0.05)
            if self.holder() is None:
                return True
        return True


def read_or_make(path: Path, make: str) -> str:
    """Return the content of a file that only its owner may read; create it with `make` if it does not exist."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(make + "\n")
    return make


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Run the block in one process at a time; the others wait."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
