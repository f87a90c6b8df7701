"""A home with its own Redis, a connected destination, and the intake as a process that a test may stop, kill and start again."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import requests
import uvicorn

from app.destinations.file import load
from app.destinations.model import Options
from app.devstack.stack import listens, port_from
from app.intake.application import make_application
from app.intake.protocol import IntakeProtocol
from app.intake.sources import SourceStore
from app.keys import LANES, DestinationKeys
from app.lanes.entries import Entry, read_entry
from app.reporting.jobs import Job, read_job
from app.resources import Resources
from app.serving import body_time, protocol
from app.serving.listener import listen
from app.settings import Settings
from tests.lines import WITHIN_SECONDS, Line
from tests.system.preloaded import PreloadedStack
from tests.system.rig import DESTINATION, profile


def wait_until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {WITHIN_SECONDS} s: {what}")
        time.sleep(0.02)


class Installation:
    def __init__(self, home: Any, **changes: Any) -> None:
        self.stack = PreloadedStack(replace(Settings.from_env(), home=home, allow_local_hosts="true", **changes))
        self.stack.__enter__()
        self.settings = self.stack.start_redis()
        self.resources = Resources.from_settings(self.settings)
        self.redis = self.resources.redis
        self.sources = SourceStore(self.redis, self.resources.ring)
        self.port = port_from(0)
        self.connect("camp")
        _, self.key = self.sources.add("crm", ["camp"])
        self.lines: list[Line] = []

    def connect(self, name: str, **options: Any) -> None:
        text = DESTINATION.format(
            id=name, tenant="mctest", secret="sandbox-secret", base="http://127.0.0.1:9", calls_per_minute=600_000,
            max_in_flight=16, mapping_id="salesforce_mc_segment_1",
        )  # fmt: skip
        destination = load(text, environ={}, allow_local_hosts=True, where=name)
        self.resources.destinations.save(replace(destination, options=Options(**options)))

    # -- the intake

    def start(self, *, processes: int = 1, ready: bool = True) -> None:
        command = [sys.executable, "-m", "app.cli", "intake", "--port", str(self.port)]
        if processes > 1:
            command += ["--processes", str(processes)]
        already = self.started()
        self.stack.start("intake", command)
        self.stack.wait_for("intake", lambda: listens(self.port) and self.started() >= already + processes)
        if ready:
            wait_until(self.is_ready, "the intake is ready")

    def started(self) -> int:
        path = self.stack.logs / "intake.log"
        return path.read_text().count("Application startup complete") if path.exists() else 0

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def restart(self) -> None:
        self.stack.stop_one("intake")
        self.start()

    def signal(self, name: str, number: int) -> None:
        os.kill(self.stack.pid(name), number)

    @property
    def log(self) -> str:
        return (self.stack.logs / "intake.log").read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(
        self, document: Any = None, *, key: str | None = None, destination: str = "camp", query: str = "", **more: Any
    ) -> requests.Response:
        """Post as `crm` does; `document` is sent as JSON unless `data` is given."""
        headers = {"Authorization": f"Bearer {self.key if key is None else key}", **more.pop("headers", {})}
        if "data" not in more:
            more["json"] = document
        return requests.post(
            f"{self.url}/v1/destinations/{destination}/profiles{query}", headers=headers, timeout=WITHIN_SECONDS, **more
        )

    def head(self, *more: str, destination: str = "camp") -> bytes:
        """The head of a request, to be sent by hand."""
        lines = [
            f"POST /v1/destinations/{destination}/profiles HTTP/1.1", "Host: intake", f"Authorization: Bearer {self.key}", *more,
        ]  # fmt: skip
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def line(self) -> Line:
        made = Line(self.port)
        self.lines.append(made)
        return made

    # -- what came of it

    def job(self, name: str) -> Job:
        return read_job(self.redis, name)

    def entries(self, destination: str = "camp") -> list[Entry]:
        """All that waits, in the order of the places that they have."""
        found = []
        for number in range(LANES):
            lane = DestinationKeys(destination).lane(number)
            for backfill in (False, True):
                raw: Any = self.redis.xrange(lane.stream(backfill=backfill))
                for entry_id, fields in raw:
                    pairs = [item for pair in fields.items() for item in pair]
                    found.append(read_entry([entry_id, pairs], backfill=backfill))
        return sorted(found, key=lambda entry: (entry.origin.occurred_at_ms, entry.origin.stamp))

    def profiles(self) -> list[Any]:
        return [entry.open(self.resources.ring, "camp") for entry in self.entries()]

    def now_ms(self) -> int:
        seconds, micros = self.redis.time()  # type: ignore[misc]
        return int(seconds * 1000 + micros // 1000)

    def close(self) -> None:
        for line in self.lines:
            line.close()
        self.stack.stop()


@pytest.fixture
def make(tmp_path: Any) -> Iterator[Callable[..., Installation]]:
    made: list[Installation] = []

    def one(**changes: Any) -> Installation:
        made.append(Installation(tmp_path / f"home{len(made)}", **changes))
        return made[-1]

    yield one
    for installation in made:
        for name in ("redis", "intake"):
            with suppress(KeyError, ProcessLookupError):
                installation.signal(name, signal.SIGCONT)
        installation.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One for all tests of a module that break nothing."""
    made = Installation(tmp_path_factory.mktemp("home"))
    made.start()
    yield made
    made.close()


@pytest.fixture
def intake(shared: Installation) -> Installation:
    """The shared one, with nothing waiting."""
    for key in shared.redis.scan_iter(match="act:{camp}:*"):
        if b":lane:" in key or b":job" in key or b":seen:" in key or b":chunk:" in key:
            shared.redis.delete(key)
    return shared


@pytest.fixture
def impatient(make: Callable[..., Installation], monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An intake in this process that waits for slow senders for moments only."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(body_time, "BODY_SECONDS", 0.8)
    intake = make()
    listener = listen("127.0.0.1", 0)
    intake.port = listener.getsockname()[1]
    config = uvicorn.Config(
        lambda: make_application(intake.resources), factory=True, http=IntakeProtocol, loop="uvloop", ws="none",
        lifespan="on", log_config=None, proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    wait_until(intake.is_ready, "it is ready")
    yield intake
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def person(number: int, first: str = "Ann") -> dict[str, Any]:
    return profile(f"c-{number}", email=f"c{number}@mail.test", first=first)
