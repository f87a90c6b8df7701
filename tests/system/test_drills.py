"""Fault drills: real workers, real Redis, real HTTP; after each, nothing lost, nothing reordered, nothing twice at once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from app.destinations.operating import resume
from app.destinations.state import Status
from app.reporting.jobs import Job
from app.resources import connect
from tests.system.history import History
from tests.system.rig import Rig, profile

SIZES = [pytest.param("short", id="short"), pytest.param("long", marks=pytest.mark.drill, id="long")]


def parts_of(history: History, parts: int) -> list[list[Any]]:
    size = -(-len(history.profiles) // parts)
    return [history.profiles[start : start + size] for start in range(0, len(history.profiles), size)]


def enqueue_while(rig: Rig, history: History, parts: int, act: Callable[[], None]) -> list[str]:
    """Enqueue part by part, and between two parts let calls go out and do something harmful."""
    jobs = []
    for part in parts_of(history, parts):
        before = rig.summary()["contact_calls"]
        jobs.append(rig.producer.enqueue("camp", part))
        rig.wait_until(lambda before=before: rig.summary()["contact_calls"] >= before + 10, "calls go out")
        act()
    return jobs


def check(rig: Rig, history: History, total: Job, name: str, capsys: Any, *, tenant: str = "mctest") -> dict[str, Any]:
    """Every profile one outcome, the newest value everywhere, no two calls of one contact at once; prints the counts."""
    summary = rig.summary(tenant)
    outcomes = sum(total.outcomes.values())
    with capsys.disabled():
        print(
            f"\n{name}: {total.received} received = {total.outcomes}, {summary['contact_calls']} calls, "
            f"{summary['identical_repeats']} repeated, {summary['overlaps']} overlapping, restarts {dict(Counter(rig.stack.restarts))}"
        )
    assert total.received == len(history.profiles) == outcomes
    assert history.differences(rig.contacts(tenant)) == []
    assert summary["overlaps"] == 0
    return summary


@pytest.mark.parametrize("size", SIZES)
def test_workers_are_killed_all_the_time(make_rig: Callable[..., Rig], size: str, capsys: Any) -> None:
    updates, contacts, kills = (3_000, 300, 4) if size == "short" else (20_000, 2_000, 15)
    rig = make_rig(workers=3)
    rig.connect()
    rig.settings_of(latency_ms=60)
    rig.start()
    history = History(updates, contacts)
    dice = random.Random(3)

    def kill_one() -> None:
        name = dice.choice(rig.workers)
        before = rig.stack.restarts.count(name)
        rig.kill(name)
        rig.wait_until(lambda: rig.stack.restarts.count(name) > before, f"{name} is started again")

    total = rig.settled(enqueue_while(rig, history, kills, kill_one))
    summary = check(rig, history, total, f"{kills} workers killed", capsys)
    assert total.outcomes["failed"] == total.outcomes["excluded"] == 0
    assert len(rig.stack.restarts) >= kills
    assert summary["identical_repeats"] <= kills * 40  # at most what was in flight or unsettled at each kill


@pytest.mark.parametrize("size", SIZES)
def test_redis_is_killed_and_restarted(make_rig: Callable[..., Rig], size: str, capsys: Any) -> None:
    updates, contacts, kills = (2_000, 300, 2) if size == "short" else (20_000, 2_000, 6)
    rig = make_rig(workers=2)
    rig.connect()
    rig.settings_of(latency_ms=60)
    rig.start()
    history = History(updates, contacts, seed=11)

    def kill_redis() -> None:
        before = rig.stack.restarts.count("redis")
        rig.kill("redis")
        rig.wait_until(
            lambda: rig.stack.restarts.count("redis") > before, "it is started again on its append-only file"
        )

    total = rig.settled(enqueue_while(rig, history, kills, kill_redis))
    check(rig, history, total, f"Redis killed {kills} times", capsys)
    assert total.outcomes["failed"] == total.outcomes["excluded"] == 0
    assert rig.stack.restarts.count("redis") == kills


def test_no_call_is_repeated_when_redis_was_away_for_a_moment(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=2, lease_seconds=12.0)
    rig.connect()
    rig.settings_of(latency_ms=60)
    rig.start()
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(800)])
    rig.wait_until(lambda: rig.summary()["contact_ok"] > 100, "under way")
    rig.kill("redis")
    time.sleep(2)  # nobody looks after it
    assert rig.summary()["contact_ok"] < 700, "nearly all was done before: the test shows nothing"
    rig.wait_until(lambda: rig.stack.restarts == ["redis"], "it is started again")
    assert rig.settled([job]).outcomes["delivered"] == 800
    assert rig.summary()["contact_calls"] == 800


def test_the_brokers_database_is_flushed(make_rig: Callable[..., Rig], capsys: Any) -> None:
    rig = make_rig(workers=2)
    rig.connect()
    rig.settings_of(latency_ms=60)
    rig.start()
    history = History(2_000, 300, seed=12)
    broker = connect(rig.settings.broker_url)
    total = rig.settled(enqueue_while(rig, history, 4, broker.flushdb))
    check(rig, history, total, "broker flushed 4 times", capsys)
    assert total.outcomes["failed"] == total.outcomes["excluded"] == 0


@pytest.mark.parametrize("size", SIZES)
def test_a_fifth_of_all_calls_fails_in_every_way(make_rig: Callable[..., Rig], size: str, capsys: Any) -> None:
    # one call in forty makes the whole account wait for a second, another one for as long
    updates, contacts = (1_500, 200) if size == "short" else (6_000, 600)
    rig = make_rig(workers=2, retry_minimum=50)
    rig.connect()
    rig.settings_of(latency_ms=20)
    kinds = (
        "server_error",
        "unavailable",
        "rate_limited",
        "expired_token",
        "html_596",
        "slow",
        "cut_before",
        "cut_after",
    )
    for number, kind in enumerate(kinds):
        rig.fault(kind, times=None, probability=0.2 / len(kinds), retry_after=1, delay_seconds=0.5, seed=number)
    rig.start()
    history = History(updates, contacts, seed=13)
    jobs = [rig.producer.enqueue("camp", part) for part in parts_of(history, 5)]
    total = rig.settled(jobs, timeout_seconds=280)
    summary = check(rig, history, total, "a fifth of the calls fails", capsys)
    assert total.outcomes["failed"] == total.outcomes["excluded"] == 0
    assert summary["contact_calls"] > summary["contact_ok"]


def test_an_outage_is_outlived(make_rig: Callable[..., Rig], capsys: Any) -> None:
    rig = make_rig(workers=2)
    rig.connect()
    rig.start()
    history = History(1_000, 200, seed=14)
    rig.settings_of(refuse_connections=True)
    jobs = [rig.producer.enqueue("camp", history.profiles)]
    rig.wait_until(lambda: rig.resources.states.get("camp").status is Status.DEGRADED, "the trouble is noticed")
    rig.wait_until(lambda: rig.resources.states.get("camp").tries >= 3, "it is probed again and again")
    assert rig.summary()["contact_ok"] == 0
    rig.settings_of(refuse_connections=False)
    total = rig.settled(jobs)
    check(rig, history, total, "outage", capsys)
    assert total.outcomes["failed"] == total.outcomes["excluded"] == 0
    assert rig.resources.states.get("camp").status is Status.ENABLED


# destination -> what is wrong with its account, how it is right, and what is said of it
BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "secret": ({"client_secrets": ["another"]}, {"client_secrets": ["sandbox-secret"]}, "bad_credentials"),
    "ip": ({"ip_refused": True}, {"ip_refused": False}, "ip_not_allowed"),
    "scope": (
        {"package_scopes": "list_and_subscribers_read"},
        {"package_scopes": "list_and_subscribers_read list_and_subscribers_write"},
        "missing_scope",
    ),
    "mapping": ({}, {}, "mapping_broken"),
}
SEGMENT_ATTRIBUTE = {"name": "salesforce_mc_segment_1", "dataType": "Text", "length": 254}


def test_broken_destinations_stop_alone_and_resume(make_rig: Callable[..., Rig], capsys: Any) -> None:
    rig = make_rig(workers=2, read_timeout_seconds=5.0)
    rig.connect("well", tenant="mcwell")
    histories, jobs = {}, {}
    for name, (wrong, _, _) in BROKEN.items():
        rig.connect(name, tenant=f"mc{name}")
        rig.settings_of(f"mc{name}", **wrong)
    rig.admin("PUT", "attributes", {"remove": [SEGMENT_ATTRIBUTE["name"]]}, tenant="mcmapping")
    rig.start()
    for seed, name in enumerate(BROKEN, 15):
        histories[name] = History(200, 50, seed=seed)
        jobs[name] = rig.producer.enqueue(name, histories[name].profiles)
    states = rig.resources.states
    for name, (_, _, code) in BROKEN.items():
        rig.wait_until(lambda name=name: states.get(name).status is Status.STOPPED, f"{name} stops")
        assert states.get(name).code == code
        assert states.get(name).remedy
    well = rig.producer.enqueue("well", [profile(f"w-{n}", email=f"w{n}@mail.test") for n in range(100)])
    assert rig.settled([well], timeout_seconds=20).outcomes["delivered"] == 100
    for name, (_, right, _) in BROKEN.items():
        assert rig.contacts(f"mc{name}") == {}
        rig.settings_of(f"mc{name}", **right)
    rig.admin("PUT", "attributes", {"add": [SEGMENT_ATTRIBUTE]}, tenant="mcmapping")
    resume(rig.resources, "ip")  # an operator says so; of the others it is found out
    for name, job in jobs.items():
        total = rig.settled([job])
        check(rig, histories[name], total, f"broken: {name}", capsys, tenant=f"mc{name}")
        assert total.outcomes["failed"] == total.outcomes["excluded"] == 0


@pytest.mark.alone
@pytest.mark.parametrize("size", SIZES)
def test_backfill_does_not_delay_live(make_rig: Callable[..., Rig], size: str, capsys: Any) -> None:
    """Live latency (enqueued until its call arrives) beside a backfill of thousands, against the same without one."""
    rig = make_rig(workers=2)
    rig.connect(calls_per_minute=2_400, max_in_flight=20)
    rig.settings_of(latency_ms=200)
    rig.start()
    alone = live_latencies(rig, "alone", 60)
    rig.producer.enqueue(
        "camp",
        (profile(f"b-{n}", email=f"b{n}@mail.test") for n in range(10_000 if size == "short" else 100_000)),
        backfill=True,
    )
    rig.wait_until(lambda: any(key.startswith("b-") for key in rig.contacts()), "the backfill runs")
    beside = live_latencies(rig, "beside", 60)
    with capsys.disabled():
        print(
            f"\nlive p95 alone {p95(alone):.3f} s, beside a backfill {p95(beside):.3f} s, {p95(beside) / p95(alone):.2f} x"
        )
    assert p95(beside) <= 2 * p95(alone)


def live_latencies(rig: Rig, name: str, count: int) -> list[float]:
    """Seconds from enqueueing until Marketing Cloud has answered, for profiles that trickle in."""
    sent: dict[str, float] = {}
    for number in range(count):
        key = f"{name}-{number}"
        sent[key] = time.time()
        rig.producer.enqueue("camp", [profile(key, email=f"{key}@mail.test")])
        time.sleep(0.15)  # a trickle
    rig.wait_until(lambda: sent.keys() <= rig.contacts().keys(), "all live ones arrive")
    calls = rig.admin("GET", "ledger?since=0")["calls"]
    ended = {call["contact_key"]: call["ended"] for call in calls}
    return [ended[key] - sent[key] for key in sent]


def p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]
