"""What `activation doctor` concludes from what it sees: each finding with its remedy. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from app.alert_kinds import NO_SWEEP_SECONDS
from app.memory import memory_of
from app.queues import QUEUES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.reporting.processes import Process

SLOW_REDIS_SECONDS = 0.02
CLOCK_SECONDS = 2.0
LONG_QUEUE = 1_000
GIB = 2**30
# free space of a disk: the smaller of an amount and a share, so that there is no false alarm for small or large disks
LITTLE_BYTES, LITTLE_SHARE = 5 * GIB, 0.2
HARDLY_BYTES, HARDLY_SHARE = GIB, 0.05


class Level(StrEnum):
    WELL = "well"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding. `what`: what was examined. `text`: what was found. `remedy`: empty if all is well."""

    level: Level
    what: str
    text: str
    remedy: str = ""


def well(what: str, text: str) -> Finding:
    return Finding(Level.WELL, what, text)


def warning(what: str, text: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, what, text, remedy)


def problem(what: str, text: str, remedy: str) -> Finding:
    return Finding(Level.PROBLEM, what, text, remedy)


def of_redis(info: Mapping[str, Any], ping_seconds: float) -> list[Finding]:
    """Judge Redis by its INFO and the median of some round trips."""
    found = [well("redis", f"version {info.get('redis_version', '?')}")]
    if int(str(info.get("redis_version", "7")).partition(".")[0]) < 7:
        found[0] = problem("redis", f"version {info['redis_version']}", "Redis 7.0 or later is needed.")
    if is_cluster(info):
        remedy = "Name one server in ACTIVATION_REDIS_URL; it may have replicas. Redis Cluster is not supported."
        found.append(problem("redis cluster", "its keys are spread over several servers", remedy))
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        found.append(well("redis policy", "noeviction"))
    else:
        remedy = "Set maxmemory-policy noeviction: whatever is evicted here is lost."
        found.append(problem("redis policy", str(policy), remedy))
    found.append(_persistence(info))
    found.append(_memory(info))
    if info.get("role", "master") != "master":
        found.append(problem("redis role", "a replica", "Name the master in ACTIVATION_REDIS_URL."))
    latency = f"{ping_seconds * 1000:.1f} ms a round trip"
    if ping_seconds > SLOW_REDIS_SECONDS:
        found.append(warning("redis latency", latency, "Put Redis nearer to the workers: each step waits for it."))
    else:
        found.append(well("redis latency", latency))
    return found


def is_cluster(info: Mapping[str, Any]) -> bool:
    return bool(int(info.get("cluster_enabled", 0)))


def _persistence(info: Mapping[str, Any]) -> Finding:
    if int(info.get("loading", 0)):
        return problem("redis persistence", "still loading its file", "Wait until it has.")
    if info.get("aof_last_write_status", "ok") != "ok" or info.get("aof_last_bgrewrite_status", "ok") != "ok":
        return problem(
            "redis persistence", "the append-only file cannot be written", "Look at the disk and the log of Redis."
        )
    if int(info.get("aof_enabled", 0)):
        return well("redis persistence", "append-only file on")
    return problem(
        "redis persistence", "no append-only file", "Set appendonly yes: without it a restart loses what waits."
    )


def _memory(info: Mapping[str, Any]) -> Finding:
    memory = memory_of(info)
    if not memory.most:
        return well("redis memory", f"{memory.used / 2**20:,.0f} MiB used, no bound set")
    text = f"{memory} used"
    if memory.is_full:
        return problem(
            "redis memory", text, "Give Redis more, or let the backlog drain: nothing more is enqueued at 90 %."
        )
    if memory.is_filling_up:
        return warning("redis memory", text, "Give Redis more before it reaches 90 %, where nothing more is enqueued.")
    return well("redis memory", text)


def of_disk(*, free: int, size: int, written: int, logs: str) -> Finding:
    """Judge the disk of a home; sizes in bytes. `written`: the append-only file, which takes as much again while it is rewritten."""
    text = f"{free / GIB:,.1f} of {size / GIB:,.1f} GiB free, {written / GIB:,.1f} GiB in the append-only file"
    remedy = (
        f"Make room (former logs: {logs}/*.log.*), or `activation down`, move the folder to a larger disk and name it in "
        "ACTIVATION_HOME. "
    )
    full = "Once it is full, a private Redis ends, and everything waits until there is room."
    if free < min(HARDLY_BYTES, HARDLY_SHARE * size):
        return problem("disk", text, remedy + full)
    if free < min(LITTLE_BYTES, LITTLE_SHARE * size):
        return warning("disk", text, remedy + full)
    if free < written:
        return warning("disk", text, f"{remedy}Redis needs as much again as the file has when it writes it anew.")
    return well("disk", text)


def of_queues(lengths: Mapping[str, int]) -> list[Finding]:
    """Judge Celery's queues by their lengths."""
    found = []
    for queue, length in lengths.items():
        text = f"{length:,} messages wait"
        if length > LONG_QUEUE:
            found.append(warning(f"queue {queue}", text, "More workers, or see why those that run do not take them."))
        else:
            found.append(well(f"queue {queue}", text))
    return found


def of_processes(processes: Sequence[Process], *, now_ms: int, own_version: str, own_build: str) -> list[Finding]:
    """Judge the processes that recently reported being alive: which queues are consumed, builds, clocks."""
    alive = [process for process in processes if process.is_alive(now_ms)]
    found = []
    for queue in QUEUES:
        takers = [process.name for process in alive if queue in process.queues]
        if takers:
            found.append(well(f"workers of {queue}", ", ".join(takers)))
        else:
            remedy = "`activation up`, or `docker compose up --detach`; the log of a worker that ends says why."
            found.append(problem(f"workers of {queue}", "none is alive", remedy))
    for process in processes:
        if process not in alive:
            text = f"silent for {process.silent_seconds(now_ms):.0f} s"
            found.append(warning(process.name, text, "It ended without a word, or hangs; its log says more."))
        elif (process.version, process.build) != (own_version, own_build):
            theirs = _build(process.version, process.build)
            remedy = "Run one build everywhere; end the upgrade."
            found.append(warning(process.name, f"{theirs}, this is {_build(own_version, own_build)}", remedy))
        if process in alive and abs(process.ahead_ms) > CLOCK_SECONDS * 1000:
            found.append(clock(process.name, process.ahead_ms / 1000))
    return found


def _build(version: str, build: str) -> str:
    return f"version {version} (build {build or 'unknown'})"


def clock(what: str, ahead_seconds: float) -> Finding:
    """Judge a machine's clock against that of Redis."""
    text = f"its clock is {abs(ahead_seconds):.1f} s {'ahead of' if ahead_seconds > 0 else 'behind'} that of Redis"
    if abs(ahead_seconds) > CLOCK_SECONDS:
        return warning(f"clock of {what}", text, "Let NTP set both.")
    return well(f"clock of {what}", text)


def of_sweeps(age_seconds: float | None) -> Finding:
    """Judge beat by the age of the last sweep."""
    remedy = "Start beat and the worker of the queue maintenance; until then sleeping lanes are not woken and no alert is judged."
    if age_seconds is None:
        return problem("beat", "nothing was ever swept", remedy)
    if age_seconds > NO_SWEEP_SECONDS:
        return problem("beat", f"nothing was swept for {age_seconds:.0f} s", remedy)
    return well("beat", f"the last sweep began {age_seconds:.0f} s ago")
