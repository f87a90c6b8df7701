"""Enqueueing by task name from a program that knows nothing of this project, and what may be seen of the profiles on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import requests
from celery import Celery

from app.devstack.stack import commands, listens, port_from
from app.reporting.totals import read_totals
from app.resources import connect
from tests.system.history import History
from tests.system.rig import Rig, profile

FOREIGN = """
import sys
from celery import Celery
client = Celery(broker=sys.argv[1])
client.send_task("activation.enqueue", queue="activation", kwargs={
    "destination": "camp",
    "profiles": [
        {"identityMap": {"contactKey": [{"id": "foreign-1"}]}, "personalEmail": {"address": "foreign@mail.test"},
         "person": {"name": {"firstName": "Secretname"}}},
        "malformed",
    ],
    "job_id": "foreign-job", "occurred_at": "2026-01-01T10:00:00Z",
})
"""
AUTH = ("operator", "only-for-this-test")
PERSONAL = (b"Secretname", b"foreign@mail.test", b"foreign-1", b"sandbox-secret")


def send(rig: Rig) -> None:
    # isolated: none of our code can be imported by it
    subprocess.run([sys.executable, "-I", "-c", FOREIGN, rig.settings.celery_broker_url], check=True)


def test_any_celery_client_enqueues_by_name(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    rig.start()
    send(rig)
    rig.wait_until(lambda: rig.redis.exists("act:{camp}:job:foreign-job"), "the job is there")
    total = rig.settled(["foreign-job"])
    assert (total.received, total.outcomes["delivered"], total.outcomes["excluded"]) == (2, 1, 1)
    assert total.reasons == {"malformed_profile": 1}
    assert rig.contacts()["foreign-1"]["Email Demographics.First Name"] == "Secretname"


def test_nothing_personal_is_seen_anywhere(make_rig: Callable[..., Rig]) -> None:
    """Redis (state), events, Flower, `inspect`, logs; the sender's own message on the broker is the sender's."""
    rig = make_rig(workers=1)
    rig.connect()
    rig.settings_of(latency_ms=300)
    rig.fault("fail", contact_key="foreign-1", times=None, message="foreign@mail.test is bad")
    rig.start()
    port = port_from(0)
    flower = commands(workers=0, flower_port=port, log_level="INFO")["flower"]
    rig.stack.start("flower", [*flower, f"--basic-auth={':'.join(AUTH)}"])
    rig.stack.wait_for("flower", lambda: listens(port))
    url = f"http://127.0.0.1:{port}"
    rig.wait_until(
        lambda: b"worker-1" in requests.get(f"{url}/api/workers", auth=AUTH, timeout=10).content,
        "Flower knows the worker",
    )
    flower_tasks(url, rig, b"maintenance.sweep")  # from here on it hears of everything
    send(rig)
    rig.wait_until(lambda: rig.redis.exists("act:{camp}:job:foreign-job"), "the job is there")
    assert rig.settled(["foreign-job"]).outcomes["failed"] == 1
    tasks = flower_tasks(url, rig, b"activation.deliver", b"activation.enqueue")
    assert b"activation.deliver" in tasks
    assert b"camp" in tasks  # destination and lane are meant to be seen
    inspector = Celery(broker=rig.settings.broker_url).control.inspect(timeout=2)
    seen = {
        "Flower": tasks,
        "inspect": repr((inspector.active(), inspector.reserved(), inspector.scheduled())).encode(),
        "logs": b"".join(path.read_bytes() for path in rig.stack.logs.glob("*.log")),
        "Redis": dump(rig.settings.redis_url),
    }
    leaks = [(place, word) for place, content in seen.items() for word in PERSONAL if word in content]
    assert leaks == []


def flower_tasks(url: str, rig: Rig, *names: bytes) -> bytes:
    """Everything Flower tells of tasks, once it has seen these."""
    found = b""

    def seen() -> bool:
        nonlocal found
        found = requests.get(f"{url}/api/tasks", auth=AUTH, timeout=10).content
        return all(name in found for name in names)

    rig.wait_until(seen, "Flower shows the tasks", 30)
    return found


def dump(url: str) -> bytes:
    """Every key and value of a Redis database, as bytes."""
    redis: Any = connect(url)
    parts: list[bytes] = []
    for key in redis.scan_iter():
        parts += [key, redis.dump(key) or b""]
        kind = redis.type(key)
        if kind == b"hash":
            parts.append(repr(redis.hgetall(key)).encode())
        elif kind == b"string":
            parts.append(redis.get(key) or b"")
        elif kind == b"stream":
            parts.append(repr(redis.xrange(key)).encode())
        elif kind in (b"set", b"zset"):
            parts.append(repr(redis.smembers(key) if kind == b"set" else redis.zrange(key, 0, -1)).encode())
    return b"\n".join(parts)


def test_waiting_profiles_rest_sealed(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    rig.producer.enqueue("camp", [profile("foreign-1", email="foreign@mail.test", first="Secretname")])
    content = dump(rig.settings.redis_url)
    assert b"lane" in content
    assert [word for word in PERSONAL if word in content] == []


def test_a_deploy_repeats_nothing(make_rig: Callable[..., Rig], capsys: Any) -> None:
    """Workers told to stop under load finish what is in flight; what they leave is done by those that come."""
    rig = make_rig(workers=2)
    rig.connect(calls_per_minute=6_000)
    rig.settings_of(latency_ms=200)
    rig.start()
    history = History(1_200, 1_000, seed=21)
    job = rig.producer.enqueue("camp", history.profiles)
    for name in rig.workers:
        before = rig.summary()["contact_calls"]
        rig.wait_until(lambda before=before: rig.summary()["contact_calls"] >= before + 30, "calls go out")
        restarts = rig.stack.restarts.count(name)
        rig.kill(name, signal.SIGTERM)
        rig.wait_until(lambda name=name, restarts=restarts: rig.stack.restarts.count(name) > restarts, "it is replaced")
    total = rig.settled([job])
    summary = rig.summary()
    with capsys.disabled():
        print(f"\ndeploy: {total.outcomes}, {summary['contact_calls']} calls, {summary['identical_repeats']} repeated")
    assert history.differences(rig.contacts()) == []
    assert total.received == sum(total.outcomes.values()) == len(history.profiles)
    assert summary["identical_repeats"] == 0
    assert summary["overlaps"] == 0
    rig.wait_until(lambda: answers(rig) >= summary["contact_ok"], "also the last calls of who ended are measured", 20)


def answers(rig: Rig) -> int:
    return read_totals(rig.redis, "camp", rig.resources.clock.now_ms()).get("answer:accepted", 0)
