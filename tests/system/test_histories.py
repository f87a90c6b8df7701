"""Histories that once broke a promise: each is told as it was seen, and must end well.

The order of the sections is that of docs/guarantees.md; every history was first seen to fail without its mend.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery

from app.destinations.file import load
from app.destinations.state import Status
from app.devstack.private_redis import PrivateRedis
from app.errors import ServiceUnreachable, UnknownDestination
from app.keys import LANES, DestinationKeys
from app.resources import connect
from app.sealing import make_key
from tests.system.rig import DESTINATION, SEGMENTS, Rig, profile

FIRST = "Email Demographics.First Name"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """A Redis of its own for Celery, so that the data's may be away."""
    server = PrivateRedis(tmp_path / "broker")
    yield server.ensure()
    server.leave()


def send(rig: Rig, profiles: list[dict[str, Any]], job: str) -> None:
    """As another program does: by the name of the task, one message a profile."""
    client = Celery(broker=rig.settings.broker_url, set_as_current=False)
    for item in profiles:
        client.send_task(
            "activation.enqueue", queue="activation", argsrepr="", kwargsrepr="",
            kwargs={"destination": "camp", "profiles": [item], "job_id": job},
        )  # fmt: skip
    client.close()


def unacked(broker_url: str) -> int:
    redis: Any = connect(broker_url)
    return int(redis.hlen("unacked") + redis.llen("activation"))


def in_logs(rig: Rig, text: str) -> bool:
    return any(text in path.read_text(errors="replace") for path in rig.stack.logs.glob("worker*.log"))


def first_names(rig: Rig, tenant: str = "mctest") -> dict[str, str]:
    return {key: held.get(FIRST, "") for key, held in rig.contacts(tenant).items()}


# -- 1: nothing accepted is lost --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_messages_wait_while_the_data_cannot_be_written(
    make_rig: Callable[..., Rig], broker: str, tmp_path: Path, trouble: str
) -> None:
    """The data's Redis is at its limit of memory, or was demoted by a fail-over; the broker is another server."""
    rig = make_rig(workers=2, broker_url=broker)
    rig.connect()
    other = PrivateRedis(tmp_path / "replica")
    if trouble == "read-only":
        password, port = (
            str(rig.settings.redis_url).split("@")[0].rpartition(":")[2],
            rig.redis.info("server")["tcp_port"],
        )
        replica: Any = connect(other.ensure())
        other_password = other.ensure().split("@")[0].rpartition(":")[2]
        replica.config_set("masterauth", password)
        replica.replicaof("127.0.0.1", port)
        rig.wait_until(lambda: replica.info("replication").get("master_link_status") == "up", "the replica follows")
        replica.replicaof("no", "one")
        rig.redis.config_set("masterauth", other_password)
        rig.redis.replicaof("127.0.0.1", replica.info("server")["tcp_port"])
        rig.wait_until(
            lambda: rig.redis.info("replication").get("master_link_status") == "up", "the old master follows"
        )
    else:
        rig.redis.config_set("maxmemory", rig.redis.info("memory")["used_memory"] // 2)
    for name, command in rig.commands.items():
        rig.stack.start(name, command)
    profiles = [profile(f"c-{n}", email=f"c{n}@mail.test", first=f"First{n}") for n in range(20)]
    send(rig, profiles, "patient")
    rig.wait_until(lambda: any("ready." in path.read_text() for path in rig.stack.logs.glob("worker*.log")), "up")
    rig.wait_until(lambda: in_logs(rig, "activation.enqueue"), "a worker has tried")
    time.sleep(3)  # the time in which the messages used to be lost
    if trouble == "read-only":
        rig.redis.replicaof("no", "one")
    else:
        rig.redis.config_set("maxmemory", 0)
    rig.wait_until(lambda: len(rig.contacts()) == 20, "all arrive", 60)
    assert rig.settled(["patient"]).outcomes["delivered"] == 20
    other.leave()


def test_messages_wait_for_a_worker_that_has_the_key(make_rig: Callable[..., Rig], broker: str) -> None:
    rig = make_rig(workers=1, broker_url=broker, beat=False)
    rig.connect()
    right = rig.stack.settings
    rig.stack.settings = replace(right, secret_keys=make_key())
    rig.start()
    send(rig, [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(5)], "locked")
    rig.wait_until(lambda: in_logs(rig, "SECRET_KEYS"), "the worker says what it lacks")
    rig.stack.settings = right
    rig.kill("worker-1", signal.SIGTERM)
    rig.wait_until(lambda: len(rig.contacts()) == 5, "all arrive", 60)


def test_a_sweep_runs_though_the_clock_of_beat_is_behind(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    behind = (
        "import sys; from datetime import timedelta; from celery import Celery; right = Celery.now;"
        "Celery.now = lambda self: right(self) - timedelta(seconds=8); from tasks.celery import app; app.start(sys.argv[1:])"
    )
    rig.commands["beat"] = [sys.executable, "-c", behind, "beat", "-l", "INFO", "--pidfile="]
    rig.stack.start("beat", rig.commands["beat"])
    rig.wait_until((rig.stack.logs / "beat.log").exists, "beat is there")
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(50)])
    connect(rig.settings.broker_url).flushdb()  # every wake-up is lost
    for name in ("worker-1", "maintenance"):
        rig.stack.start(name, rig.commands[name])
    assert rig.settled([job], 40).outcomes["delivered"] == 50


def test_a_command_does_not_start_a_second_server_while_the_first_is_slow(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    server = psutil.Process(rig.stack.pid("redis"))
    server.suspend()
    with ThreadPoolExecutor(1) as pool:
        command = pool.submit(
            subprocess.run, [sys.executable, "-m", "app.cli", "destinations", "--json"], capture_output=True, text=True,
            env={**os.environ, "ACTIVATION_HOME": str(rig.settings.home)}, timeout=60,
        )  # fmt: skip
        time.sleep(4)  # longer than a command waits for one answer
        server.resume()
        ended = command.result()
    folder = str((rig.settings.home / "redis").resolve())
    assert [one.pid for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == folder] == [server.pid]
    assert (ended.returncode, '"camp"' in ended.stdout) == (0, True), ended.stderr


def test_a_full_redis_gets_well_by_itself(make_rig: Callable[..., Rig]) -> None:
    """The destination is paused and producers go on until nothing more fits; then it is resumed."""
    rig = make_rig(workers=2, shared_redis=True)
    rig.connect()
    rig.start()
    rig.resources.states.pause("camp")
    rig.redis.config_set("maxmemory", rig.redis.info("memory")["used_memory"] + 24_000_000)
    filler = "x" * 5_000
    jobs, refused = [], ""
    for part in range(200):
        names = [f"c-{200 * part + n}" for n in range(200)]
        batch = [{**profile(name, email=f"{name}@mail.test"), "filler": filler} for name in names]
        try:
            jobs.append(rig.producer.enqueue("camp", batch, job_id=f"part-{part}"))
        except ServiceUnreachable as error:
            refused = str(error)
            break
    assert "full" in refused
    assert jobs
    rig.resources.states.resume("camp")
    rig.waker.wake_all("camp")
    total = rig.settled(jobs, 200)
    assert total.outcomes["delivered"] == 200 * len(jobs)


# -- 2: never older over newer ----------------------------------------------------------------------------------------

CONTACT_KEY = '{source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}'


def reconnect(rig: Rig, *, key: str = "contactKey", tenant: str = "mctest", account_id: str = "") -> None:
    """Replace the destination, with another contact key or in another account."""
    text = DESTINATION.format(
        id="camp", tenant=tenant, secret="sandbox-secret", base=rig.base(tenant), calls_per_minute=600_000,
        max_in_flight=16, mapping_id=SEGMENTS["seg-1"],
    ).replace("IdentityMap: contactKey", f"IdentityMap: {key}")  # fmt: skip
    if account_id:
        text = text.replace("  client_id:", f"  account_id: '{account_id}'\n  client_id:")
    rig.resources.destinations.save(load(text, environ={}, allow_local_hosts=True, where="camp"))


def known_twice(number: int, first: str, at: str) -> dict[str, Any]:
    made = profile(f"a-{number}", email=f"c{number}@mail.test", first=first, at=at)
    made["identityMap"]["crm"] = [{"id": f"b-{number}"}]
    return made


def test_a_contact_has_one_lane_after_its_key_is_mapped_anew(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    rig.resources.states.pause("camp")
    old = rig.producer.enqueue("camp", [known_twice(n, "Old", "2026-01-01T00:00:00Z") for n in range(200)])
    reconnect(rig, key="crm")
    new = rig.producer.enqueue("camp", [known_twice(n, "New", "2026-01-02T00:00:00Z") for n in range(200)])
    rig.start()
    rig.resources.states.resume("camp")
    rig.waker.wake_all("camp")
    rig.settled([old, new])
    assert first_names(rig) == {f"b-{n}": "New" for n in range(200)}
    assert rig.summary()["overlaps"] == 0


def test_a_destination_that_is_connected_anew_while_profiles_come_in(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()

    def older() -> Iterator[dict[str, Any]]:
        for number in range(1_100):
            if number == 600:
                rig.resources.destinations.remove("camp")
                rig.connect()
            yield profile(f"c-{number % 550}", email="c@mail.test", first="Old", at="2026-01-01T00:00:00Z")

    rig.producer.enqueue("camp", older())
    newer = [profile(f"c-{n}", email="c@mail.test", first="New", at="2026-01-02T00:00:00Z") for n in range(550)]
    new = rig.producer.enqueue("camp", newer)
    rig.start()
    rig.settled([new])
    rig.wait_until(lambda: sum_of_lanes(rig) == 0, "all is delivered")
    assert first_names(rig) == {f"c-{n}": "New" for n in range(550)}


def sum_of_lanes(rig: Rig) -> int:
    return sum(rig.redis.xlen(key) for key in rig.redis.scan_iter("act:{camp}:lane:*:live"))


def test_enqueueing_to_a_destination_that_is_disconnected_meanwhile_is_refused(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()

    def profiles() -> Iterator[dict[str, Any]]:
        for number in range(1_100):
            if number == 600:
                rig.resources.destinations.remove("camp")
            yield profile(f"c-{number}", email=f"c{number}@mail.test")

    with pytest.raises(UnknownDestination):
        rig.producer.enqueue("camp", profiles())
    assert list(rig.redis.scan_iter("act:{camp}:*")) == []


def test_the_later_of_two_with_equal_versions_wins_also_after_trouble(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    both = [profile(f"c-{n}", email="c@mail.test", first=first) for first in ("Earlier", "Later") for n in range(30)]
    for number in range(30):
        rig.fault("server_error", contact_key=f"c-{number}")
    rig.start()
    rig.settled([rig.producer.enqueue("camp", both, occurred_at="2026-01-01T00:00:00Z")])
    assert first_names(rig) == {f"c-{n}": "Later" for n in range(30)}


def test_live_wins_over_backfill_of_the_same_version(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    at = "2026-01-01T00:00:00Z"
    jobs = [
        rig.producer.enqueue(
            "camp", [profile(f"c-{n}", email="c@mail.test", first=first, at=at) for n in range(40)], backfill=backfill
        )
        for first, backfill in (("Backfill", True), ("Live", False))
    ]
    rig.start()
    rig.settled(jobs)
    assert first_names(rig) == {f"c-{n}": "Live" for n in range(40)}


def test_a_clock_that_is_ahead_gives_no_lasting_advantage(make_rig: Callable[..., Rig]) -> None:
    """What comes from the future counts as of its arrival, once, however often it is tried."""
    rig = make_rig(workers=1, retry_base_seconds=6.0, retry_cap_seconds=6.0)
    rig.connect()
    rig.start()
    for number in range(12):
        rig.fault("server_error", contact_key=f"c-{number}")
    ahead = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    one = rig.producer.enqueue(
        "camp", [profile(f"c-{n}", email="c@mail.test", first="Ahead", at=ahead) for n in range(12)]
    )
    two = rig.producer.enqueue("camp", [profile("well", email="w@mail.test")])  # so that it is no outage
    rig.wait_until(lambda: rig.summary()["by_status"].get("500", 0) == 12, "each was tried once")
    three = rig.producer.enqueue("camp", [profile(f"c-{n}", email="c@mail.test", first="Later") for n in range(12)])
    rig.settled([one, two, three])
    assert {name for key, name in first_names(rig).items() if key != "well"} == {"Later"}


# -- 4: no call that changes nothing, and none too few ----------------------------------------------------------------


@pytest.mark.parametrize("other", [{"tenant": "mcother"}, {"account_id": "510001"}], ids=["account", "business unit"])
def test_another_account_under_the_same_name_gets_everything(
    make_rig: Callable[..., Rig], other: dict[str, str]
) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    rig.start()
    profiles = [profile(f"c-{n}", email=f"c{n}@mail.test", first=f"F{n}", at="2026-01-01T00:00:00Z") for n in range(50)]
    rig.settled([rig.producer.enqueue("camp", profiles)])
    if "account_id" in other:
        rig.settings_of(account_id="510001")
    reconnect(rig, **other)
    again = rig.settled([rig.producer.enqueue("camp", profiles)])
    assert again.outcomes["delivered"] == 50
    assert len(rig.contacts(other.get("tenant", "mctest"))) == 50


def test_updates_of_a_busy_contact_merge_behind_its_call(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    rig.settings_of(latency_ms=1_000)
    rig.start()
    jobs = []
    for number in range(31):
        jobs.append(rig.producer.enqueue("camp", [profile("hot", email="h@mail.test", first=f"F{number}")]))
        time.sleep(0.1)  # a trickle
    rig.settled(jobs)
    assert first_names(rig) == {"hot": "F30"}
    assert rig.summary()["contact_calls"] <= 9


def test_ten_thousand_updates_of_one_contact_are_one_call(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    job = rig.producer.enqueue("camp", [profile("hot", email="h@mail.test", first=f"F{n}") for n in range(10_000)])
    rig.settings_of(latency_ms=1_000)
    rig.start()
    total = rig.settled([job])
    assert first_names(rig) == {"hot": "F9999"}
    assert (total.outcomes["failed"], total.outcomes["excluded"], sum(total.outcomes.values())) == (0, 0, 10_000)
    assert rig.summary()["contact_calls"] <= 12
    assert not in_logs(rig, "Traceback")


# -- 7: stops itself, and resumes --------------------------------------------------------------------------------------


def under_load(rig: Rig, number: int = 3_000) -> str:
    rig.settings_of(latency_ms=100)
    rig.start()
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(number)])
    rig.wait_until(lambda: rig.summary()["contact_ok"] >= 100, "calls go out")
    return job


def test_a_short_outage_costs_seconds(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=2, retry_base_seconds=2.0, retry_cap_seconds=300.0)
    rig.connect()
    job = under_load(rig, 1_500)
    rig.settings_of(refuse_connections=True)
    time.sleep(2)  # the outage
    rig.settings_of(refuse_connections=False)
    state = rig.resources.states.get("camp")
    assert state.status is Status.DEGRADED
    assert state.tries < LANES // 2, "what every lane sees is one outage, to which only probes add"
    total = rig.settled([job], 60)
    assert total.outcomes["delivered"] == 1_500


def test_a_long_outage_is_probed_ever_less_often(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=2, retry_base_seconds=1.0, retry_cap_seconds=300.0)
    rig.connect()
    under_load(rig)
    rig.fault("server_error", times=None)
    rig.wait_until(lambda: rig.resources.states.get("camp").status is Status.DEGRADED, "the outage is noticed")
    rig.wait_until(lambda: rig.resources.states.get("camp").tries >= 2, "and probed", 30)
    leases = [DestinationKeys("camp").lane(number).lease for number in range(LANES)]
    rig.wait_until(lambda: not rig.redis.exists(*leases), "the sessions that found it out have ended", 30)
    before = rig.summary()["contact_calls"]
    time.sleep(10)  # ten seconds of it
    assert rig.summary()["contact_calls"] - before <= 12
    assert rig.resources.states.get("camp").tries >= 3


def test_a_pause_during_a_probe_holds(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(40)])
    rig.settings_of(refuse_connections=True)
    rig.start()
    rig.wait_until(lambda: rig.resources.states.get("camp").status is Status.DEGRADED, "it is in trouble")
    rig.settings_of(refuse_connections=False, latency_ms=3_000)
    rig.wait_until(lambda: rig.summary()["token_requests"] > 0 and probing(rig), "a probe is on its way", 30)
    rig.resources.states.pause("camp")
    rig.wait_until(lambda: not probing(rig), "the probe is over", 30)
    time.sleep(0.5)
    assert rig.resources.states.get("camp").status is Status.PAUSED
    rig.settings_of(latency_ms=0)
    rig.resources.states.resume("camp")
    rig.waker.wake_all("camp")
    assert rig.settled([job]).outcomes["delivered"] == 40


def probing(rig: Rig) -> bool:
    return rig.resources.states.get("camp").probing


def test_a_destination_that_is_gone_ends_its_sessions(make_rig: Callable[..., Rig]) -> None:
    """Disconnected in the middle of its deliveries: nothing of it stays, and no worker trips over it."""
    rig = make_rig(workers=2)
    rig.connect()
    under_load(rig)
    rig.resources.destinations.remove("camp")
    time.sleep(4)  # a slice and more
    assert list(rig.redis.scan_iter("act:{camp}:*")) == []
    assert not in_logs(rig, "Traceback")


def test_a_worker_that_is_stopped_says_what_it_must(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    under_load(rig)
    rig.kill("worker-1", signal.SIGTERM)
    rig.wait_until(lambda: "worker-1" in rig.stack.restarts, "it ends")
    assert not in_logs(rig, "Traceback")
