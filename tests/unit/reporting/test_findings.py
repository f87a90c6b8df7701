"""What the doctor makes of what it sees: each bad sign is told, with a remedy, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.reporting.findings import GIB, Level, of_disk, of_processes, of_queues, of_redis, of_sweeps
from app.reporting.processes import Process

INFO = {
    "redis_version": "8.2.3", "maxmemory_policy": "noeviction", "aof_enabled": 1, "aof_last_write_status": "ok",
    "used_memory": 100, "maxmemory": 1_000, "role": "master", "loading": 0,
}  # fmt: skip
NOW = 10_000_000
WORKER = Process("w@h", "worker", "1", "3.12", "h", 1, 0, seen_ms=NOW, queues=("activation", "delivery"), build="b")
CARE = replace(WORKER, name="m@h", role="maintenance", queues=("maintenance",))


@pytest.mark.parametrize(
    ("changes", "ping_seconds", "told"),
    [
        ({}, 0.001, {}),
        ({"redis_version": "6.2.1"}, 0.001, {"redis": Level.PROBLEM}),
        ({"maxmemory_policy": "allkeys-lru"}, 0.001, {"redis policy": Level.PROBLEM}),
        ({"cluster_enabled": 1}, 0.001, {"redis cluster": Level.PROBLEM}),
        ({"aof_enabled": 0}, 0.001, {"redis persistence": Level.PROBLEM}),
        ({"aof_last_write_status": "err"}, 0.001, {"redis persistence": Level.PROBLEM}),
        ({"loading": 1}, 0.001, {"redis persistence": Level.PROBLEM}),
        ({"used_memory": 760}, 0.001, {"redis memory": Level.WARNING}),
        ({"used_memory": 901}, 0.001, {"redis memory": Level.PROBLEM}),
        ({"used_memory": 10**12, "maxmemory": 0}, 0.001, {}),
        ({"role": "slave"}, 0.001, {"redis role": Level.PROBLEM}),
        ({}, 0.05, {"redis latency": Level.WARNING}),
    ],
)
def test_redis(changes, ping_seconds, told):
    found = of_redis(INFO | changes, ping_seconds)
    assert {finding.what: finding.level for finding in found if finding.level is not Level.WELL} == told
    assert all(bool(finding.remedy) == (finding.level is not Level.WELL) for finding in found)


@pytest.mark.parametrize(
    ("free", "size", "written", "level"),
    [
        (50 * GIB, 100 * GIB, GIB, Level.WELL),
        (6 * GIB, 2_000 * GIB, GIB, Level.WELL),  # a small share of a large disk
        (4.9 * GIB, 2_000 * GIB, GIB, Level.WARNING),
        (2.1 * GIB, 10 * GIB, GIB, Level.WELL),  # a small disk, and a large share of it
        (1.9 * GIB, 10 * GIB, GIB, Level.WARNING),
        (30 * GIB, 100 * GIB, 31 * GIB, Level.WARNING),  # its file cannot be written anew
        (0.9 * GIB, 100 * GIB, 0, Level.PROBLEM),
        (0.6 * GIB, 10 * GIB, 0, Level.WARNING),
        (0.4 * GIB, 10 * GIB, 0, Level.PROBLEM),
        (0, 10 * GIB, 0, Level.PROBLEM),
    ],
)
def test_disk(free, size, written, level):
    found = of_disk(free=int(free), size=size, written=written, logs="/srv/activation/logs")
    assert found.level is level
    assert f"of {size / GIB:,.1f} GiB free" in found.text
    assert ("/srv/activation/logs/*.log.*" in found.remedy) == (level is not Level.WELL)
    assert ("ACTIVATION_HOME" in found.remedy) == (level is not Level.WELL)


@pytest.mark.parametrize(
    ("processes", "told"),
    [
        ([WORKER, CARE], {}),
        ([WORKER], {"workers of maintenance": Level.PROBLEM}),
        ([], {f"workers of {queue}": Level.PROBLEM for queue in ("activation", "delivery", "maintenance")}),
        ([WORKER, CARE, replace(WORKER, name="gone", seen_ms=NOW - 31_000)], {"gone": Level.WARNING}),
        ([WORKER, replace(CARE, version="0")], {"m@h": Level.WARNING}),
        ([WORKER, replace(CARE, build="a")], {"m@h": Level.WARNING}),
        ([WORKER, replace(CARE, build="")], {"m@h": Level.WARNING}),
        ([WORKER, replace(CARE, ahead_ms=-2_500)], {"clock of m@h": Level.WARNING}),
    ],
)
def test_processes(processes, told):
    found = of_processes(processes, now_ms=NOW, own_version="1", own_build="b")
    assert {finding.what: finding.level for finding in found if finding.level is not Level.WELL} == told


@pytest.mark.parametrize(("age", "level"), [(None, Level.PROBLEM), (5.0, Level.WELL), (61.0, Level.PROBLEM)])
def test_sweeps(age, level):
    assert of_sweeps(age).level is level


def test_queues():
    found = of_queues({"delivery": 1_001, "activation": 0})
    assert [finding.level for finding in found] == [Level.WARNING, Level.WELL]
