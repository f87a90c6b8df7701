"""What looks after the pipeline, and what is away, must not stand in the way of deliveries."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from app.devstack.private_redis import PrivateRedis
from app.keys import CATALOGS
from tests.system.rig import Rig, profile

DESTINATIONS = 120
AWAY_SECONDS = 8.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    server = PrivateRedis(tmp_path / "broker", name="broker", persistent=False)
    yield server.ensure()
    server.leave()


def log(rig: Rig, name: str) -> str:
    return (rig.stack.logs / f"{name}.log").read_text(errors="replace")


def test_many_accounts_to_be_refreshed_hold_up_no_delivery(make_rig: Callable[..., Rig], capsys: object) -> None:
    """Each account takes a while to tell its definitions; live profiles go on meanwhile."""
    rig = make_rig(workers=1, catalog_refresh_seconds=1.0)
    rig.connect("camp", tenant="mccamp")
    for n in range(DESTINATIONS):
        rig.connect(f"d-{n}", tenant=f"mcd{n}")
    rig.redis.zadd(CATALOGS, {f"d-{n}": 1 for n in range(DESTINATIONS)})  # never heard of for long
    for n in range(DESTINATIONS):
        rig.settings_of(f"mcd{n}", latency_ms=1_000)
    rig.start()
    rig.wait_until(lambda: "attributes.refresh" in log(rig, "maintenance"), "the refresh is under way", 120)
    for n in range(3):
        jobs = [rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test")])]
        assert rig.settled(jobs).outcomes["delivered"] == 1
    stale = rig.redis.zcount(CATALOGS, 0, 1)
    assert stale > 0, "all accounts were refreshed before: the test shows nothing"
    assert rig.redis.llen("maintenance") < 20
    assert log(rig, "maintenance").count("Task attributes.refresh") < DESTINATIONS / 2, "a message for each account"
    assert "attributes.refresh" not in log(rig, "worker-1").partition("[tasks]")[2].partition("ready.")[2]


def test_messages_of_a_data_redis_that_is_away_come_again_seldom(make_rig: Callable[..., Rig], broker: str) -> None:
    rig = make_rig(workers=1, broker_url=broker, beat=False)
    rig.connect()
    rig.start()
    server = rig.stack.pid("redis")
    os.kill(server, signal.SIGKILL)
    with Celery(broker=broker) as sender:
        for n in range(20):
            sender.send_task(
                "activation.enqueue", queue="activation",
                kwargs={"destination": "camp", "profiles": [profile(f"c-{n}", email=f"c{n}@mail.test")], "job_id": "away"},
            )  # fmt: skip
    time.sleep(AWAY_SECONDS)  # it is the time that is looked at
    said = log(rig, "worker-1")
    times_received = len(re.findall(r"Task activation.enqueue\[\S+ received", said)) / 20
    assert 1 <= times_received <= 5  # after one second, two, four more
    assert said.count("Traceback") <= 2
    rig.wait_until(lambda: rig.stack.pid("redis") not in (0, server), "Redis is back")
    rig.wait_until(lambda: len(rig.contacts()) == 20, "all arrive")
    assert rig.settled(["away"]).outcomes["delivered"] == 20
