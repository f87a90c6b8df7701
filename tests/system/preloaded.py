"""A stack whose processes are forked from one that has imported what they need: most of a second of CPU for each of them less.

They run the same command lines, in an environment, a session and a folder of their own. What reads its environment while it is
imported (`tasks.celery`) is imported by each itself; that all can be imported as a user does it, the tests of `up` and `demo` show.
"""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from typing import Any

from app.devstack.stack import environment
from tests.system.parted import PartedStack

LIBRARIES = (
    "aiohttp", "celery.bin.celery", "celery.worker.worker", "cryptography.hazmat.primitives.ciphers.aead", "environs", "httptools",
    "kombu.transport.redis", "marshmallow", "orjson", "prometheus_client", "redis", "requests", "rich.table", "starlette.applications",
    "uvicorn", "uvloop", "yaml",
)  # fmt: skip
OURS = (
    "app.cli.console", "app.cli.intake", "app.intake.application", "app.sandbox.server", "app.sweep", "tasks.base", "tasks.config",
    "tasks.schedule", "tasks.transport", "tasks.worker",
)  # fmt: skip
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([*LIBRARIES, *OURS])


class _Descriptor:
    """A file descriptor on its way into the forked process."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return _receive, (DupFd(self._number),)


def _receive(sent: Any) -> int:
    number: int = sent.detach()
    return number


class Forked:
    """What a `Stack` asks of a process."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class PreloadedStack(PartedStack):
    """An intake of several processes begins as it does for a user: multiprocessing starts none from one that it has forked itself."""

    def _begin(self, name: str, command: list[str], log: int, held: int | None) -> Any:
        if command[:2] != [sys.executable, "-m"] or "--processes" in command:
            return super()._begin(name, command, log, held)
        descriptors = [_Descriptor(number) for number in (log, held) if number is not None]
        process = _forks.Process(
            name=name, target=_run,
            args=(command[2:], str(self.settings.home), environment(self.settings, name), *descriptors),
        )  # fmt: skip
        process.start()
        return Forked(process)


def _run(words: list[str], folder: str, environ: dict[str, str], log: int, held: int | None = None) -> None:
    """As `python -m WORDS` would, in the environment and folder of a `Stack`, its log as output; `held` is a lock while it lives."""
    gc.freeze()  # what was imported before is not to be looked through, which would copy its pages
    os.setsid()
    os.umask(0o077)
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, stream in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(number, stream)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = words
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    finally:
        threading._shutdown()  # as an interpreter ends, which a fork of multiprocessing does not
        atexit._run_exitfuncs()
