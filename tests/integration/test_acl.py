"""The rights of each role on a real Redis: enough for its work, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from app.access.roles import Actor, Role
from app.access.sessions import Sessions
from app.access.users import Users
from app.acl import ROLES, rule_of
from app.destinations import operating
from app.errors import StorageRefuses, UnknownDestination
from app.event_loop import EVENT_LOOP
from app.intake.application import make_application
from app.keys import DestinationKeys
from app.producer import Producer
from app.reporting.audit import Act, note_act, read_acts
from app.reporting.contact import read_contact
from app.reporting.destinations import glances
from app.reporting.jobs import read_job
from app.reporting.metrics import PipelineCollector
from app.resources import Resources, connect
from app.sweep import sweep
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile


@pytest.fixture
def bench(redis_url: str, redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    admin: Any = made.redis
    for role in ROLES:
        if role.server == "state":
            admin.execute_command("ACL", "SETUSER", *rule_of(role, "pw").split())
    yield made
    for role in ROLES:
        admin.execute_command("ACL", "DELUSER", role.name)
    made.close()


def as_user(bench: Bench, name: str, **changes: Any) -> Resources:
    url = bench.resources.settings.redis_url.replace("redis://", f"redis://{name}:pw@")
    return Resources.from_settings(replace(bench.resources.settings, redis_url=url, **changes))


def test_a_console_looks_acts_and_keeps_people_with_keys_that_open_no_account(bench: Bench) -> None:
    resources = as_user(bench, "console", secret_keys=",".join(bench.resources.ring.restricted))
    users = Users(resources.redis, resources.ring)
    users.add("ann", Role.VIEW, now_ms=1)
    sessions = Sessions(resources.redis, resources.ring, users)
    token = sessions.begin(Actor("ann", Role.VIEW), now_ms=resources.clock.now_ms(), user=users.get("ann"))
    assert sessions.find(token, now_ms=resources.clock.now_ms()) is not None
    assert sessions.count_try("ann", "here") == "free"
    assert [item.id for item in glances(resources)] == ["camp"]
    assert operating.pause(resources, "camp").status == "paused"
    assert operating.resume(resources, "camp").status == "enabled"
    note_act(resources.redis, resources.ring, Act("ann", "resume", "camp"))
    assert [act.what for _, act in read_acts(resources.redis, resources.ring)] == ["resume"]
    assert not read_contact(resources, "camp", "c-1").known


def test_a_producer_enqueues_with_keys_that_open_no_account(bench: Bench) -> None:
    resources = as_user(bench, "producer", secret_keys=",".join(bench.resources.ring.restricted))
    producer = Producer(resources, bench.waker)
    job = producer.enqueue("camp", [profile("a", email="a@mail.test"), profile("b", email="b@mail.test"), None])
    assert read_job(bench.redis, job).received == 3
    resources.measures.flush(resources.redis, resources.clock)
    assert bench.redis.hget(bench.keys.run(bench.hour()), "enqueue:ms") is not None
    assert resources.destinations.get("camp").account.client_secret == ""
    assert bench.wake_ups()


@pytest.mark.parametrize("name", ["producer", "intake"])
def test_who_may_not_read_which_are_connected_learns_that_one_is_not(bench: Bench, name: str) -> None:
    with pytest.raises(UnknownDestination, match=r"^No destination 'cams' is connected\.\n"):
        Producer(as_user(bench, name), bench.waker).enqueue("cams", [profile("a", email="a@mail.test")])


def test_the_intake_tells_a_sender_that_a_destination_is_not_connected(bench: Bench) -> None:
    keys = ",".join(bench.resources.ring.restricted)
    resources = as_user(
        bench, "intake", secret_keys=keys, intake_open=True, broker_url=bench.resources.settings.redis_url
    )
    status, body = EVENT_LOOP.run(_post(make_application(resources), "cams", profile("a", email="a@mail.test")))
    assert (status, body["code"]) == (503, "destination_not_connected")


async def _post(application: Any, destination: str, document: Any) -> tuple[int, Any]:
    body = orjson.dumps(document)
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "http", "method": "POST", "path": f"/v1/destinations/{destination}/profiles", "query_string": b"",
        "headers": [(b"content-length", b"%d" % len(body))], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    async with application.router.lifespan_context(application):
        await application(scope, receive, send)
    return said[0]["status"], orjson.loads(said[1]["body"])


@pytest.mark.parametrize(
    "command",
    [
        ("XRANGE", "act:{camp}:lane:0:live", "-", "+"),
        ("XDEL", "act:{camp}:lane:0:live", "1-1"),
        ("DEL", "act:{camp}:config"),
        ("SET", "act:{camp}:config", "x"),
        ("HGETALL", "act:{camp}:failed"),
        ("HSET", "act:{camp}:state", "status", "paused"),
        ("GET", "act:{mc}:token:1"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
    ],
)
def test_a_producer_can_do_nothing_else(bench: Bench, command: tuple[str, ...]) -> None:
    client: Any = as_user(bench, "producer").redis
    with pytest.raises(NoPermissionError):
        client.execute_command(*command)


def test_a_worker_does_all_of_its_work(bench: Bench) -> None:
    resources = as_user(bench, "worker")
    producer = Producer(resources, bench.waker)
    job = producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(20)])
    from app.delivery.wakeup import Delivery

    worker = Delivery(resources)
    for lane, mark in bench.wake_ups():
        while worker.drain("camp", lane, mark).wake:
            pass  # on a busy machine one slice may not be enough
    sweep(resources, bench.waker)
    assert read_job(resources.redis, job).outcomes["delivered"] == 20
    resources.states.pause("camp")
    resources.states.resume("camp")
    resources.destinations.save(bench.destination)
    resources.destinations.remove("camp")
    assert not list(bench.redis.scan_iter(DestinationKeys("camp").everything))
    worker.give_back()


@pytest.mark.parametrize("name", ["worker", "metrics"])
@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("SHUTDOWN",),
        ("ACL", "GETUSER", "console"),
        ("ACL", "SETUSER", "default", "on", "nopass"),
        ("GET", "elsewhere"),
        ("KEYS", "*"),
        ("CLIENT", "KILL", "TYPE", "normal"),
    ],
)
def test_nobody_rules_the_server(bench: Bench, name: str, command: tuple[str, ...]) -> None:
    client: Any = as_user(bench, name).redis
    with pytest.raises(NoPermissionError):
        client.execute_command(*command)


def test_metrics_are_read_without_a_key_and_nothing_is_written(bench: Bench) -> None:
    bench.producer.enqueue("camp", [profile("a", email="a@mail.test")])
    url = bench.resources.settings.redis_url.replace("redis://", "redis://metrics:pw@")
    collector = PipelineCollector(connect(url), bench.resources.settings)
    found = {metric.name: metric for metric in collector.collect()}
    assert any(sample.value == 1 for sample in found["activation_backlog_profiles"].samples)
    client: Redis = connect(url)
    with pytest.raises(NoPermissionError):
        client.set("act:x", "1")


def test_a_right_that_is_missing_is_told_as_such(bench: Bench) -> None:
    bench.redis.execute_command("ACL", "SETUSER", "producer", "-xadd")
    producer = Producer(as_user(bench, "producer"), bench.waker)
    with pytest.raises(StorageRefuses) as refused:
        producer.enqueue("camp", [profile("a", email="a@mail.test")])
    assert "activation acl" in refused.value.remedy
