"""What real workers say of themselves, measure, and tell a real receiver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from app.reporting.histograms import Timed, read_histogram
from app.reporting.processes import read_processes, read_sweep_age_seconds
from app.reporting.totals import read_totals
from tests.system.rig import Rig, profile


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        seen: Any = self.server
        seen.told.append(orjson.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    server.told = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_workers_are_seen_measure_and_tell(make_rig: Callable[..., Rig], receiver: Any) -> None:
    rig = make_rig(workers=2, alert_url=f"http://127.0.0.1:{receiver.server_address[1]}/hook")
    rig.connect()
    rig.start()
    rig.wait_until(lambda: len(read_processes(rig.redis)) == 3, "all are seen", 60)
    queues = {queue for process in read_processes(rig.redis) for queue in process.queues}
    assert queues == {"activation", "delivery", "maintenance"}
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(40)])
    assert rig.settled([job], 120).outcomes["delivered"] == 40

    def measured() -> dict[str, int]:
        return read_totals(rig.redis, "camp", rig.resources.clock.now_ms())

    calls = rig.summary()["contact_ok"]  # on a busy machine a lane may pass to another worker, and a call be repeated
    rig.wait_until(lambda: measured().get("answer:accepted", 0) == calls, "all calls are measured, once", 30)
    assert read_histogram(Timed.ACCEPTANCE, measured()).count == calls
    age = read_sweep_age_seconds(rig.redis, now_ms=rig.resources.clock.now_ms())
    assert age is not None
    rig.connect("wrong", secret="not-the-secret", tenant="mcwrong")
    rig.producer.enqueue("wrong", [profile("w", email="w@mail.test")])
    rig.wait_until(lambda: any(one["destination"] == "wrong" for one in receiver.told), "it is told", 60)
    told = [one for one in receiver.told if one["destination"] == "wrong"]
    assert [(one["event"], one["kind"]) for one in told] == [("opened", "stopped")]
