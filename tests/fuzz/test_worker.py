"""A real worker at DEBUG amid made-up messages and profiles: it lives, delivers the rest, and shows no marker to anybody who looks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from redis.exceptions import RedisError

from app.devstack.stack import commands, listens, port_from
from app.reporting.alerts import read_alerts
from app.reporting.metrics import make_registry
from app.reporting.refused import RefusedMessages
from app.reporting.runs import read_runs
from app.resources import connect
from tests.fuzz.cases import MARK, altered, as_json, cases
from tests.fuzz.test_messages import ENVELOPE, KWARGS
from tests.fuzz.test_profiles import GOOD, with_personal_names
from tests.system.conftest import make_rig
from tests.system.rig import Rig, profile
from tests.system.test_celery_clients import AUTH, dump

__all__ = ["make_rig"]


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    """A receiver of alerts, and what it got."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", received
    server.shutdown()
    server.server_close()
    thread.join()


def listen(client: Celery, events: list[str], stop: threading.Event) -> None:
    # the broker may end before its listener does
    with suppress(OSError, RedisError), client.connection_for_read() as connection:
        receiver = client.events.Receiver(connection, handlers={"*": lambda event: events.append(repr(event))})
        while not stop.is_set():
            with suppress(OSError):  # silence, or the end of the broker
                receiver.capture(limit=None, timeout=0.5, wakeup=False)


def made_up() -> tuple[list[bytes], list[dict[str, Any]], list[Any]]:
    """Items of a queue, keyword arguments of messages, and profiles."""
    items: list[bytes] = []
    arguments: list[dict[str, Any]] = []
    profiles: list[Any] = []

    @cases(40, 1_500)
    @given(
        altered(ENVELOPE).map(as_json) | st.binary(max_size=60).map(lambda raw: raw + MARK.encode()),
        altered(KWARGS),
        altered(GOOD).map(with_personal_names),
    )
    def collect(item: bytes, kwargs: Any, one: Any) -> None:
        items.append(item.replace(b'"delivery_tag": "t"', b'"delivery_tag": "t%d"' % len(items)))
        if isinstance(kwargs, dict):
            with suppress(ValueError, TypeError, UnicodeError):
                arguments.append(json.loads(json.dumps(kwargs, allow_nan=False).encode()))
        profiles.append(one)

    collect()
    return items, arguments, profiles


@pytest.mark.timeout(1_200)
def test_a_worker_lives_and_nobody_sees_a_marker(
    make_rig: Callable[..., Rig],
    webhook: tuple[str, list[bytes]],  # the fixture
) -> None:
    rig = make_rig(workers=1, log_level="DEBUG", alert_url=webhook[0])
    rig.connect()
    rig.start()
    port = port_from(0)
    flower = commands(workers=0, flower_port=port, log_level="INFO")["flower"]
    rig.stack.start("flower", [*flower, f"--basic-auth={':'.join(AUTH)}"])
    rig.stack.wait_for("flower", lambda: listens(port))
    client = Celery(broker=rig.settings.broker_url, set_as_current=False)
    events: list[str] = []
    stop = threading.Event()
    listener = threading.Thread(target=listen, args=(client, events, stop), daemon=True)
    listener.start()
    flower_tasks = lambda: requests.get(f"http://127.0.0.1:{port}/api/tasks", auth=AUTH, timeout=10).content  # noqa: E731
    rig.wait_until(lambda: b"maintenance.sweep" in flower_tasks() and events, "Flower and events are heard")

    items, arguments, profiles = made_up()
    broker: Any = connect(rig.settings.broker_url)
    for queue in ("activation", "delivery"):
        for item in items:
            broker.lpush(queue, item.replace(b'"t', f'"{queue}-t'.encode()))
    for kwargs in arguments:
        client.send_task("activation.enqueue", queue="activation", kwargs=kwargs)
    job = rig.producer.enqueue("camp", profiles)
    well = rig.producer.enqueue("camp", [profile("well", email="well@mail.test", first="Well")])
    assert rig.settled([well], 120).outcomes["delivered"] == 1
    assert rig.settled([job], 300).received == len(profiles)
    rig.wait_until(lambda: not broker.llen("activation") and not broker.llen("delivery"), "all is taken", 300)
    again = rig.producer.enqueue("camp", [profile("well", email="well@mail.test", first="Again")])
    assert rig.settled([again], 120).outcomes["delivered"] == 1
    assert rig.contacts()["well"]["Email Demographics.First Name"] == "Again"
    assert rig.stack.restarts == []
    refused = RefusedMessages(rig.resources).all()
    assert len(refused) > len(items) / 2
    assert any(one.content and MARK.encode() in one.content for one in refused), "the operator can look at them"
    rig.wait_until(lambda: webhook[1], "the alert is posted", 30)
    rig.wait_until(lambda: b"activation.deliver" in flower_tasks(), "Flower saw deliveries", 30)
    stop.set()
    listener.join(10)

    inspector = client.control.inspect(timeout=2)
    redis: Any = rig.redis
    seen = {
        "Redis": dump(rig.settings.redis_url),
        "append-only file": b"".join(path.read_bytes() for path in rig.settings.home.glob("redis/appendonlydir/*")),
        "logs": b"".join(path.read_bytes() for path in rig.stack.logs.glob("*.log") if path.stem != "sandbox"),
        "files of the home": b"".join(
            path.read_bytes()
            for folder in ("run", "logs")
            for path in (rig.settings.home / folder).rglob("*")
            if path.is_file()
        ),
        "events": "".join(events).encode(errors="replace"),
        "Flower": flower_tasks(),
        "inspect": repr((inspector.active(), inspector.reserved(), inspector.scheduled())).encode(),
        "metrics": generate_latest(make_registry(redis, rig.settings)),
        "alerts": repr(read_alerts(redis)).encode(),
        "webhook": b"".join(webhook[1]),
        "runs": repr(read_runs(redis, "camp")).encode(),
        "reasons": repr([one.why for one in refused]).encode(),
    }
    client.close()
    assert all(seen.values())
    assert [place for place, content in seen.items() if MARK.lower().encode() in content.lower()] == []
    assert b"\n[2026] CRITICAL forged" not in seen["logs"]
