"""The whole stack on one machine, supervised: what `activation up` and `activation demo` run.

Containers run the same commands (docker-compose.yml); here they are child processes, which are restarted when they die.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson

from app.devstack.home import Home
from app.devstack.logfiles import rotate
from app.devstack.private_redis import PrivateRedis
from app.devstack.signals import uninterrupted
from app.errors import ServiceUnreachable, UsageError
from app.sealing import KeyRing
from app.settings import OPTIONS

if TYPE_CHECKING:
    from app.settings import Settings

FLOWER_PORT = 5555
METRICS_PORT = 9464
INTAKE_PORT = 8080
START_SECONDS = 60.0
STOP_SECONDS = 40.0
RESTART_AFTER_SECONDS = 1.0
STACK = "stack"  # the lock of the home's owner
SERVERS = ("redis", "broker")


def commands(
    *, workers: int, flower_port: int | None, log_level: str, intake_port: int | None = None
) -> dict[str, list[str]]:
    """Return the command line of each of the pipeline's own processes, by name.

    Maintenance has a worker of its own, so that a slow account holds up no delivery, and a backlog of wake-ups does not
    hold up the sweep.
    """
    celery = [sys.executable, "-m", "celery", "-A", "tasks"]
    # Celery's heartbeat, for Flower: the default of two seconds accounts for half of an idle worker's cost
    alone = ["-l", log_level, "--without-gossip", "--without-mingle", "--heartbeat-interval", "10"]
    made = {
        f"worker-{number}": [*celery, "worker", "-n", f"worker-{number}@%h", "-Q", "activation,delivery", *alone]
        for number in range(1, workers + 1)
    }
    made["maintenance"] = [*celery, "worker", "-n", "maintenance@%h", "-Q", "maintenance", "-c", "2", *alone]
    made["beat"] = [*celery, "beat", "-l", log_level, "--pidfile="]
    if flower_port is not None:
        made["flower"] = [*celery, "flower", "--address=127.0.0.1", f"--port={flower_port}", "--read-only"]
    if intake_port is not None:
        made["intake"] = [sys.executable, "-m", "app.cli", "intake", "--port", str(intake_port)]
    return made


def console_command(port: int) -> list[str]:
    return [sys.executable, "-m", "app.cli", "console", "--port", str(port)]


def sandbox_command(port: int) -> list[str]:
    return [sys.executable, "-m", "app.sandbox", "--port", str(port)]


KEYLESS = ("beat", "flower", "sandbox")  # they know only the broker, or nothing
DATA_ONLY = ("intake",)  # their keys open no accounts
# all settings for sending alerts: addresses without a mail server would be refused
_ALERTS = ("alert_url", "alert_secret", "alert_slack_url", "alert_email_to", "smtp_url")


def _withheld(name: str) -> tuple[str, ...]:
    """Return the settings that a child does not need and that must not be in its environment."""
    if name == "console":
        return ()
    found: tuple[str, ...] = ("console_oidc_client_secret",)
    if name in KEYLESS or name in DATA_ONLY:
        found += _ALERTS
    if name in KEYLESS:
        found += ("secret_keys", "redis_url")
    return (*found, "broker_url") if name == "sandbox" else found


def environment(settings: Settings, name: str) -> dict[str, str]:
    """Return a child's environment: ours, with the settings that were filled in, and without secrets that it does not need."""
    environ = dict(os.environ)
    withheld = _withheld(name)
    if name in DATA_ONLY and settings.keys:
        settings = replace(settings, secret_keys=",".join(KeyRing(settings.keys).restricted))
    for option in OPTIONS:
        value = getattr(settings, option.field)
        if option.field in withheld:
            environ.pop(f"{option.variable}_FILE", None)
            environ.pop(option.variable, None)
        elif value != option.default:
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


class Stack:
    """The child processes and private servers of one home; a context manager that stops them all.

    Only one stack can run in a home: entering takes the home's lock.

    Raises: `UsageError` if another one runs.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = Home(settings.home)
        self.logs = self.home.logs
        self.restarts: list[str] = []
        self._lock: int | None = None
        self._servers: dict[str, PrivateRedis] = {}
        self._children: dict[str, _Child] = {}

    def __enter__(self) -> Self:
        self.home.create()
        lock = self.home.lock(STACK)
        self._lock = lock.take()
        if self._lock is None:
            raise UsageError(
                f"A stack runs in {self.home.path} already (process {lock.holder()}).",
                remedy="`activation status` shows it, `activation down` ends it; another ACTIVATION_HOME makes one beside it.",
            )
        lock.name_holder(self._lock, os.getpid())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def end_leftovers(self) -> list[str]:
        """End the processes of a stack that was killed; its servers stay and are used again. Returns the names."""
        found = [name for name in self.home.running() if name not in (STACK, *SERVERS)]
        for name in found:
            self.home.lock(name).end(timeout_seconds=STOP_SECONDS)
        return found

    def start_redis(self) -> Settings:
        """Return the settings with a Redis, a broker and keys, starting private servers for those not named."""
        if self.settings.redis_url and not self.settings.keys:
            raise UsageError("ACTIVATION_SECRET_KEYS is not set.", remedy="See docs/configuration.md.")
        if not self.settings.redis_url:
            keys = self.settings.secret_keys or self.home.keys()
            self.settings = replace(self.settings, redis_url=self._serve("redis").ensure(), secret_keys=keys)
            if not self.settings.broker_url:
                self.settings = replace(self.settings, broker_url=self._serve("broker").ensure())
        # children that may not know the Redis must be told the broker, even if it is the same
        self.settings = replace(self.settings, broker_url=self.settings.celery_broker_url)
        return self.settings

    def note_addresses(self, addresses: dict[str, str]) -> None:
        """Record where things are found, for `activation status`."""
        path = self.home.addresses
        path.write_bytes(orjson.dumps(addresses))
        path.chmod(0o600)

    def _serve(self, name: str) -> PrivateRedis:
        server = PrivateRedis(
            self.settings.home, name=name, persistent=name == "redis", server=self.settings.redis_server
        )
        self._servers[name] = server
        return server

    def start(self, name: str, command: list[str]) -> None:
        with uninterrupted():  # an unrecorded child would outlive us
            self._children[name] = _Child(name, command, self._spawn(name, command))

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        lock = self.home.lock(name)
        held = lock.take()
        log = os.open(self.logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = self._begin(name, command, log, held)
            if held is not None:
                lock.name_holder(held, process.pid)
        finally:
            os.close(log)
            if held is not None:
                os.close(held)
        return process

    def _begin(self, name: str, command: list[str], log: int, held: int | None) -> subprocess.Popen[bytes]:
        """Start a process that writes to the descriptor `log` and keeps the lock `held` for as long as it lives."""
        return subprocess.Popen(  # noqa: S603  # our own command lines
            command,
            # a `tasks` package in the caller's folder must not be mistaken for ours
            cwd=self.settings.home,
            env=environment(self.settings, name),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the children in order
            pass_fds=[] if held is None else [held],
            umask=0o077,
        )

    def log_of(self, name: str) -> Path:
        """Return the log of a child or of a private server, which writes its own."""
        return self._servers[name].log if name in self._servers else self.logs / f"{name}.log"

    def pid(self, name: str) -> int:
        """Return the process id of a child or private server."""
        if name in self._servers:
            return self._servers[name].pid or 0
        return self._children[name].process.pid

    def look_after(self) -> list[str]:
        """Restart what has died and rotate full logs; returns the names of what was started."""
        rotate(self.logs)
        now = time.monotonic()
        restarted = []
        for name, server in self._servers.items():
            if server.pid is None:
                server.ensure()
                restarted.append(name)
        for child in self._children.values():
            if child.process.poll() is None:
                continue
            child.died_at = child.died_at or now
            if now - child.died_at >= RESTART_AFTER_SECONDS:
                with uninterrupted():
                    child.process = self._spawn(child.name, child.command)
                child.died_at = 0.0
                restarted.append(child.name)
        self.restarts += restarted
        return restarted

    def stop(self) -> None:
        """Stop sources of work first, then workers, the servers last. What does not end in time is killed.

        Signals are held until everything has ended.
        """
        with uninterrupted():
            self._stop()

    def _stop(self) -> None:
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
        for server in reversed(self._servers.values()):
            server.leave()
        self._servers.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def wait_for(self, name: str, ready: Any) -> None:
        """Wait until `ready()` is true. Raises: `ServiceUnreachable`, naming the log."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._children[name].process.poll() is not None or time.monotonic() > deadline:
                raise ServiceUnreachable(f"{name} did not start.", remedy=f"Its log says why: {self.log_of(name)}")
            time.sleep(0.05)


def port_from(preferred: int) -> int:
    """Return the preferred loopback port if it is free, else another: stacks of several homes run side by side."""
    for port in (preferred, 0):
        with socket() as probe:
            # like the servers that will listen there: connections left by a stopped one are no reason to move
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
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


def tail(path: Path, lines: int = 20) -> str:
    """Return the end of a log, for an error message."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
