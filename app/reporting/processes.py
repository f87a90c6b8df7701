"""Which processes of the installation are alive: each reports every few seconds."""

from __future__ import annotations

import os
import platform
import socket
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from app.keys import PROCESSES, SWEPT
from app.lua import write
from app.other_builds import known_fields
from app.version import installed_build, installed_version

if TYPE_CHECKING:
    from redis import Redis

ALIVE_SECONDS = 30  # a process silent for longer is considered gone
KEPT_SECONDS = 3_600  # and is forgotten after this


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it described itself. Times are epoch milliseconds by Redis's clock.

    `ahead_ms`: how far its own clock is ahead of Redis's. `queues`: the Celery queues that it consumes. `build`: of its
      code; '' from an earlier build that did not report it.
    """

    name: str
    role: str
    version: str
    python: str
    host: str
    pid: int
    started_ms: int
    seen_ms: int = 0
    ahead_ms: int = 0
    queues: tuple[str, ...] = field(default=())
    build: str = ""

    def silent_seconds(self, now_ms: int) -> float:
        return max(0.0, (now_ms - self.seen_ms) / 1000)

    def is_alive(self, now_ms: int) -> bool:
        return self.silent_seconds(now_ms) < ALIVE_SECONDS


def this_process(name: str, role: str, *, now_ms: int, queues: tuple[str, ...] = ()) -> Process:
    """Describe the running process."""
    return Process(
        name=name,
        role=role,
        version=installed_version(),
        python=platform.python_version(),
        host=socket.gethostname(),
        pid=os.getpid(),
        started_ms=now_ms,
        queues=queues,
        build=installed_build(),
    )


def note_process(redis: Redis, process: Process, *, now_ms: int) -> None:
    """Report that the process is alive."""
    noted = replace(process, seen_ms=now_ms, ahead_ms=round(time.time() * 1000) - now_ms)
    write(redis, ("HSET", PROCESSES, process.name, orjson.dumps(asdict(noted))), keys=[PROCESSES])


def end_process(redis: Redis, name: str) -> None:
    """Forget a process that ends normally, or one long gone."""
    write(redis, ("HDEL", PROCESSES, name), keys=[PROCESSES])


def read_processes(redis: Redis) -> list[Process]:
    """Return all processes seen within about the last hour, by name."""
    raw: Any = redis.hgetall(PROCESSES)
    return sorted(map(_load, raw.values()), key=lambda process: process.name)


def _load(raw: bytes) -> Process:
    document = orjson.loads(raw)
    return Process(**known_fields(Process, document) | {"queues": tuple(document.get("queues", ()))})


def long_gone_processes(redis: Redis, *, now_ms: int) -> list[str]:
    """Return the names of processes that can be forgotten (`end_process`)."""
    return [process.name for process in read_processes(redis) if process.silent_seconds(now_ms) > KEPT_SECONDS]


def note_sweep(redis: Redis, *, now_ms: int) -> None:
    """Note that a sweep begins, which shows that beat sent it and a worker took it."""
    write(redis, ("SET", SWEPT, now_ms), keys=[SWEPT])


def read_sweep_age_seconds(redis: Redis, *, now_ms: int) -> float | None:
    """Return the seconds since the last sweep began; None if there never was one."""
    raw: Any = redis.get(SWEPT)
    return None if raw is None else max(0.0, (now_ms - int(raw)) / 1000)
