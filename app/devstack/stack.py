"""The whole stack on one machine, watched: what `activation up` and `activation demo` run.

The same commands run in containers (docker-compose.yml); here they are child processes that are started again when they die.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from app.devstack.private_redis import PrivateRedis, read_or_make
from app.errors import ServiceUnreachable, UsageError
from app.sealing import make_key
from app.settings import OPTIONS

if TYPE_CHECKING:
    from app.settings import Settings

FLOWER_PORT = 5555
METRICS_PORT = 9464
STOP_SECONDS = 40.0
RESTART_AFTER_SECONDS = 1.0


def commands(*, workers: int, flower_port: int | None, log_level: str) -> dict[str, list[str]]:
    """Name -> command line of each process of the pipeline itself."""
    celery = [sys.executable, "-m", "celery", "-A", "tasks"]
    made = {
        f"worker-{number}": [*celery, "worker", "-n", f"worker-{number}@%h", "-l", log_level, "--without-gossip",
                             "--without-mingle"]
        for number in range(1, workers + 1)
    }  # fmt: skip
    made["beat"] = [*celery, "beat", "-l", log_level, "--pidfile="]
    if flower_port is not None:
        made["flower"] = [*celery, "flower", "--address=127.0.0.1", f"--port={flower_port}", "--read-only"]
    return made


def sandbox_command(port: int) -> list[str]:
    return [sys.executable, "-m", "app.sandbox", "--port", str(port)]


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a child: ours, with what was filled in for a private Redis."""
    environ = dict(os.environ)
    for option in OPTIONS:
        value = getattr(settings, option.field)
        if value != option.default:
            environ.pop(f"{option.variable}_FILE", None)
            environ[option.variable] = str(value)
    environ["ACTIVATION_HOME"] = str(settings.home.resolve())
    return environ


@dataclass(slots=True)
class _Child:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes]
    died_at: float = 0.0
    restarts: int = 0


class Stack:
    """Child processes and the private Redis of one home; a context manager that stops them all."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.logs = settings.home / "logs"
        self._redis: PrivateRedis | None = None
        self._children: dict[str, _Child] = {}
        self.restarts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_redis(self) -> Settings:
        """The settings with a Redis and keys; a private server is started when none is named."""
        from dataclasses import replace

        self.logs.mkdir(parents=True, exist_ok=True)
        if self.settings.redis_url:
            if not self.settings.keys:
                raise UsageError("ACTIVATION_SECRET_KEYS is not set.", remedy="See docs/configuration.md.")
            return self.settings
        self._redis = PrivateRedis(self.settings.home)
        url = self._redis.ensure()
        keys = self.settings.secret_keys or read_or_make(self.settings.home / "secret-keys", make_key())
        self.settings = replace(self.settings, redis_url=url, secret_keys=keys)
        return self.settings

    def start(self, name: str, command: list[str]) -> None:
        self._children[name] = _Child(name, command, self._spawn(name, command))

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own command lines
                command,
                # a `tasks` package in the caller's folder must not be taken for ours
                cwd=self.settings.home,
                env=environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for us; the children are told in order
            )

    def pid(self, name: str) -> int:
        """Of a child, or of the private Redis when it was started here."""
        if name == "redis" and self._redis is not None and self._redis.process is not None:
            return self._redis.process.pid
        return self._children[name].process.pid

    def look_after(self) -> list[str]:
        """Start again what has died; returns the names."""
        now = time.monotonic()
        restarted = []
        if self._redis is not None and self._redis.process is not None and self._redis.process.poll() is not None:
            self._redis.ensure()
            restarted.append("redis")
        for child in self._children.values():
            if child.process.poll() is None:
                continue
            child.died_at = child.died_at or now
            if now - child.died_at >= RESTART_AFTER_SECONDS:
                child.process = self._spawn(child.name, child.command)
                child.died_at = 0.0
                child.restarts += 1
                restarted.append(child.name)
        self.restarts += restarted
        return restarted

    def stop(self) -> None:
        """Producers of work first, then workers, Redis last. What does not end in time is killed."""
        order = sorted(self._children.values(), key=lambda child: child.name.startswith(("worker", "sandbox")))
        for child in order:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in order:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._children.clear()
        if self._redis is not None:
            self._redis.stop()

    def wait_for(self, name: str, ready: Any, *, timeout_seconds: float = 60.0) -> None:
        """Wait until `ready()` is true. Raises `ServiceUnreachable` with the place of the log."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self._children[name].process.poll() is not None or time.monotonic() > deadline:
                raise ServiceUnreachable(f"{name} did not start.", remedy=f"Its log says why: {self.logs / name}.log")
            time.sleep(0.05)


def port_from(preferred: int) -> int:
    """The preferred loopback port when it is free, else one that is: stacks of several homes run side by side."""
    for port in (preferred, 0):
        with socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServiceUnreachable("No free loopback port.")


def listens(port: int) -> bool:
    with socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def until_told_to_stop() -> Iterator[list[int]]:
    """A list that stays empty until SIGINT or SIGTERM arrives."""
    told: list[int] = []
    before = {
        number: signal.signal(number, lambda received, _: told.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tail(path: Path, lines: int = 20) -> str:
    """The end of a log, for an error message."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
