"""What a worker that died leaves behind, and when it goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.broker import worker_queue
from app.reporting.processes import KEPT_SECONDS, note_process, read_processes, this_process
from app.resources import Resources
from app.sweep import sweep
from tests.integration.lanes.conftest import Bench


@pytest.fixture
def bench(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    for name, silent_seconds in (
        ("alive@here", 1),
        ("dead@there", KEPT_SECONDS - 60),
        ("forgotten@there", KEPT_SECONDS + 60),
    ):
        seen_ms = made.resources.clock.now_ms() - silent_seconds * 1_000
        note_process(made.redis, this_process(name, "worker", now_ms=0), now_ms=seen_ms)
        made.redis.lpush(worker_queue(name).name, "a wake-up", "another")
    yield made
    made.close()


def names(bench: Bench) -> list[str]:
    return [process.name for process in read_processes(bench.redis)]


def test_the_queue_of_a_worker_goes_when_the_worker_is_forgotten(bench: Bench) -> None:
    assert sweep(bench.resources, bench.waker) == 0
    assert names(bench) == ["alive@here", "dead@there"]
    left = {name.decode() for name in bench.redis.scan_iter("delivery.*")}
    assert left == {"delivery.alive@here", "delivery.dead@there"}


def test_a_worker_is_not_forgotten_while_its_queue_cannot_be_dropped(bench: Bench) -> None:
    away = Resources.from_settings(replace(bench.resources.settings, broker_url="redis://127.0.0.1:1/0"))
    sweep(away, bench.waker)
    away.redis.close()
    assert "forgotten@there" in names(bench)
    sweep(bench.resources, bench.waker)
    assert "forgotten@there" not in names(bench)
