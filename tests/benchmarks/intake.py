"""The HTTP intake: requests and profiles a second, what they cost, how long answers take, what a stalled connection holds."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from app.devstack.stack import listens, port_from
from app.intake.sources import SourceStore
from tests.benchmarks.bed import Bed, bed, cpu_of, percentile, person
from tests.benchmarks.table import Figure

SECONDS = 8.0
CONNECTIONS = 64
STALLED = 200
SIZES = (1, 10, 100)
BODIES = 20_000  # profiles that the bodies of a load hold in all


class Server:
    """The intake with so many processes, on a pipeline without workers."""

    def __init__(self, made: Bed, processes: int, key: str) -> None:
        self.made, self.key = made, key
        self.port = port_from(0)
        command = [sys.executable, "-m", "app.cli", "intake", "--port", str(self.port), "--processes", str(processes)]
        made.stack.start("intake", command)
        made.stack.wait_for("intake", lambda: listens(self.port) and self.ready(processes))

    def ready(self, processes: int) -> bool:
        log = (self.made.stack.logs / "intake.log").read_text()
        return log.count("Application startup complete") >= processes

    @property
    def pid(self) -> int:
        return self.made.stack.pid("intake")

    def load(self, size: int, *, rate: float = 0.0, seconds: float = SECONDS) -> dict[str, Any]:
        """Run a load of requests with so many profiles; with the CPU seconds that the intake used."""
        count = max(200, BODIES // size)
        bodies = [
            json.dumps([person(number * size + place) for place in range(size)] if size > 1 else person(number))
            for number in range(count)
        ]
        job = {
            "destination": "camp", "key": self.key, "bodies": bodies, "connections": CONNECTIONS, "seconds": seconds, "rate": rate,
        }  # fmt: skip
        before = cpu_of(self.pid)
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("load.py")), str(self.port)],
            input=json.dumps(job), capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        found["cpu"] = cpu_of(self.pid) - before
        answers = len(found["took"])
        if set(found["statuses"]) != {"202"} or found["unanswered"]:
            print(f"answers other than 202: {found['statuses']}, unanswered {found['unanswered']}", file=sys.stderr)
        found["rate"] = answers / found["seconds"]
        found["per_core"] = answers / found["cpu"]
        found["p99"] = percentile(found["took"], 0.99)
        return found

    def memory(self) -> int:
        process = psutil.Process(self.pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def measure() -> Figure:
    rows: list[list[str]] = []
    reached = []
    most = 0.0
    with bed(workers=0, static=True) as made:
        made.connect()
        _, key = SourceStore(made.redis, made.resources.ring).add("bench", ["camp"])
        for processes in (1, 2):
            server = Server(made, processes, key)
            server.load(1, seconds=1.0)
            for size in SIZES:
                found = server.load(size)
                rows.append(
                    [
                        f"{processes}", f"{size}", "as fast as it goes", f"{found['rate']:,.0f}", f"{found['rate'] * size:,.0f}",
                        f"{found['per_core']:,.0f}", f"{found['p99'] * 1000:.0f}",
                    ]
                )  # fmt: skip
                if size == 1:
                    single = found
                if size == 1 and processes == 1:
                    reached.append(found["per_core"] >= 3_000)
                most = max(most, found["rate"] * size)
            half = server.load(1, rate=min(single["rate"], 3_000) / 2)
            rows.append(
                [f"{processes}", "1", "half of that", f"{half['rate']:,.0f}", f"{half['rate']:,.0f}", f"{half['per_core']:,.0f}",
                 f"{half['p99'] * 1000:.0f}"]
            )  # fmt: skip
            reached.append(half["p99"] < 0.1)
            if processes == 1:
                each = stalled(server)
                reached.append(each <= 1_000_000)
            made.stack.stop_one("intake")
    reached.append(most >= 30_000)
    return Figure(
        "The HTTP intake",
        target="3,000 requests of one profile a second and core, 30,000 profiles a second in hundreds, p99 under 100 ms at half of "
        "that, 1 MB a connection",
        result=f"{rows[0][5]} requests a second and core, {most:,.0f} profiles a second, {each / 1000:,.0f} kB a stalled connection",
        reached=all(reached),
        columns=[
            "processes",
            "profiles in a request",
            "load",
            "requests/s",
            "profiles/s",
            "requests per s of CPU",
            "p99 ms",
        ],
        rows=rows,
        note="Load generator, Redis and intake share the machine's cores; what a core takes is told by the seconds of CPU.",
    )


def stalled(server: Server) -> float:
    """Bytes of memory for each of many connections that send half of a body and then nothing."""
    before = server.memory()
    open_ones = []
    body = b'[{"identityMap": {"contactKey": [{"id": "' + b"a" * 30_000
    head = (
        f"POST /v1/destinations/camp/profiles HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Length: {2 * len(body)}\r\n\r\n"
    )
    for _ in range(STALLED):
        one = socket.create_connection(("127.0.0.1", server.port))
        one.sendall(head.encode() + body)
        open_ones.append(one)
    time.sleep(1)
    after = server.memory()
    for one in open_ones:
        one.close()
    return (after - before) / STALLED
