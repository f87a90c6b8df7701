"""RabbitMQ as the broker, where one is installed: outages, whatever anybody publishes, and who is at the other end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import amqp
import pytest
from celery import Celery

from app.broker import queue_lengths
from app.devstack.stack import port_from
from app.errors import ServiceUnreachable
from app.reporting.refused import RefusedMessages
from tests.certificates import certificate
from tests.system.rig import Rig, profile
from tests.system.test_celery_clients import send
from tests.system.test_hostile_messages import HEADERS, KWARGS, MARK, WRONG_ARGUMENTS

# Debian's command of that name would change the user
SERVER = next(filter(None, map(shutil.which, ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"))), None)
PROFILES = 600
LARGE_BYTES = 400_000_000

pytestmark = pytest.mark.skipif(SERVER is None, reason="RabbitMQ is not installed; on Debian: rabbitmq-server")


class RabbitMQ:
    """A server on loopback, with an Erlang port mapper of its own."""

    def __init__(self, folder: Path) -> None:
        self.port, self.tls_port = port_from(0), port_from(0)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.certificate, key = certificate(folder, "127.0.0.1")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"listeners.ssl.2 = 127.0.0.2:{self.tls_port}\n"
            f"ssl_options.certfile = {self.certificate}\nssl_options.keyfile = {key}\n"
        )
        self._environ = os.environ | {
            "HOME": str(folder),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_NODENAME": f"activation-{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_DIST_PORT": str(port_from(0)),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(port_from(0)),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(SERVER)], env=self._environ, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )  # fmt: skip
        deadline = time.monotonic() + 90
        while not self._answers():
            assert time.monotonic() < deadline, "RabbitMQ does not come up"
            time.sleep(0.2)

    def _answers(self) -> bool:
        with suppress(ServiceUnreachable):
            return queue_lengths(self.url, ()) == {}
        return False

    def stop(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        self.stop()
        subprocess.run(["epmd", "-kill"], env=self._environ, check=False, stdout=subprocess.DEVNULL)

    def publish(self, queues: tuple[str, ...], messages: list[amqp.Message]) -> None:
        with amqp.Connection(f"127.0.0.1:{self.port}", userid="guest", password="guest") as connection:
            channel = connection.channel()
            for queue in queues:
                for message in messages:
                    channel.basic_publish_confirm(message, exchange="", routing_key=queue)


@pytest.fixture
def rabbitmq(tmp_path: Path) -> Iterator[RabbitMQ]:
    folder = tmp_path / "rabbitmq"
    folder.mkdir()
    server = RabbitMQ(folder)
    try:
        server.start()
        yield server
    finally:
        server.close()


def test_workers_outlive_an_outage_and_nothing_is_lost(make_rig: Callable[..., Rig], rabbitmq: RabbitMQ) -> None:
    rig = make_rig(workers=2, broker_url=rabbitmq.url)
    rig.connect(calls_per_minute=6_000)
    rig.settings_of(latency_ms=50)
    rig.start()
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(PROFILES)])
    rig.wait_until(lambda: rig.summary()["contact_ok"] > 50, "under way")
    send(rig)  # as any Celery client does
    rig.wait_until(lambda: rig.redis.exists("act:{camp}:job:foreign-job"), "it was taken")
    rabbitmq.stop()
    later = rig.producer.enqueue("camp", [profile(f"d-{n}", email=f"d{n}@mail.test") for n in range(100)])
    rabbitmq.start()
    total = rig.settled([job, later, "foreign-job"])
    assert (total.received, total.outcomes["delivered"], total.reasons) == (702, 701, {"malformed_profile": 1})
    assert rig.summary()["contact_ok"] == 701, "no call was made twice"
    assert rig.stack.restarts == []


def message(
    body: bytes = json.dumps([[], KWARGS, {}]).encode(), *, headers: Any = HEADERS, **more: Any
) -> amqp.Message:
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "application_headers": headers,
    } | more
    return amqp.Message(body, **{name: value for name, value in properties.items() if value is not None})


def bomb() -> bytes:
    """Little that becomes much."""
    packer = zlib.compressobj()
    return b"".join([packer.compress(bytes(LARGE_BYTES)), packer.flush()])


def test_nothing_that_is_published_ends_a_worker(make_rig: Callable[..., Rig], rabbitmq: RabbitMQ) -> None:
    rig = make_rig(workers=1, broker_url=rabbitmq.url)
    rig.connect()
    rig.start()
    unreadable = [
        message(b""),
        message(MARK.encode()),
        message(b"\xff\x00" + MARK.encode()),
        message(b"[" * 200_000),
        message(headers=None),
        message(headers=HEADERS | {"id": [MARK]}),
        message(headers=HEADERS | {"eta": MARK}),
        message(headers=HEADERS | {"compression": MARK}),
        message(headers=HEADERS | {"compression": "zlib"}),
        message(bomb(), headers=HEADERS | {"compression": "zlib"}),
        message(content_type=None),
        message(content_type="application/x-python-serialize"),
        message(content_encoding=None),
        message(content_encoding=MARK),
    ]
    rabbitmq.publish(("activation", "delivery"), unreadable)
    client = Celery(broker=rabbitmq.url, set_as_current=False)
    for wrong in WRONG_ARGUMENTS:
        client.send_task("activation.enqueue", queue="activation", argsrepr="", kwargsrepr="", **wrong)
    well = {"destination": "camp", "profiles": [profile("packed", email="p@mail.test")], "job_id": "packed"}
    client.send_task("activation.enqueue", queue="activation", kwargs=well, compression="zlib")
    client.close()
    refused, expected = RefusedMessages(rig.resources), 2 * len(unreadable) + len(WRONG_ARGUMENTS)
    rig.wait_until(lambda: refused.count() >= expected, "all are refused", 60)
    rig.wait_until(lambda: rig.redis.exists("act:{camp}:job:packed"), "what is packed well is taken")
    assert rig.settled(["packed"]).outcomes["delivered"] == 1
    reasons = [one.why for one in refused.all()]
    assert len(reasons) == expected
    assert reasons.count("it is too large once decompressed") == 2
    assert rig.stack.restarts == []
    assert MARK.encode() not in b"".join(path.read_bytes() for path in rig.stack.logs.glob("*.log"))


def test_the_name_in_the_certificate_is_checked(rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.2 is the same server, by a name that its certificate does not bear."""
    monkeypatch.setenv("SSL_CERT_FILE", str(rabbitmq.certificate))
    url = f"amqps://guest:guest@{{}}:{rabbitmq.tls_port}//"
    assert queue_lengths(url.format("127.0.0.1"), ("delivery",)) == {"delivery": 0}
    with pytest.raises(ServiceUnreachable, match=r"certificate of the broker is not trusted: .*127.0.0.2"):
        queue_lengths(url.format("127.0.0.2"), ("delivery",))
