"""A load of HTTP requests from a process of its own: `load.py PORT` reads from standard input, as JSON, what to send.

Raw sockets and no library: what it costs itself must be small beside what is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any


class Connection(asyncio.Protocol):
    """Sends a request, waits for its answer, sends the next; in open loop at given times."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.begun = 0.0
        self.busy = False
        self.received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.load.idle(self)

    def send(self, request: bytes, due: float) -> None:
        self.begun, self.busy = due, True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            return
        self.received, self.busy = b"", False
        self.load.answered(int(head[9:12]), time.perf_counter() - self.begun)
        self.load.idle(self)

    def connection_lost(self, _: Exception | None) -> None:
        if self.busy:
            self.load.answered(0, time.perf_counter() - self.begun)


class Load:
    """`rate` requests a second for `seconds`, or as many as go when it is 0. `requests` are sent in turn."""

    def __init__(self, requests: list[bytes], seconds: float, rate: float) -> None:
        self.requests, self.seconds, self.rate = requests, seconds, rate
        self.sent = 0
        self.took: list[float] = []
        self.statuses: dict[int, int] = {}
        self.begun = time.perf_counter()
        self.waiting: list[Connection] = []

    @property
    def over(self) -> bool:
        return time.perf_counter() - self.begun >= self.seconds

    def idle(self, connection: Connection) -> None:
        if self.rate:
            self.waiting.append(connection)
        elif not self.over:
            self._send(connection, time.perf_counter())

    def _send(self, connection: Connection, due: float) -> None:
        connection.send(self.requests[self.sent % len(self.requests)], due)
        self.sent += 1

    async def pace(self) -> None:
        """Requests are due at even times, whether or not former ones are answered: waiting for a connection counts as well."""
        while not self.over:
            due = self.begun + self.sent / self.rate
            if due <= time.perf_counter() and self.waiting:
                self._send(self.waiting.pop(), due)
            else:
                await asyncio.sleep(0.0005)

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.took.append(seconds)


async def run(port: int, job: dict[str, Any]) -> dict[str, Any]:
    head = (
        "POST /v1/destinations/{destination}/profiles HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    requests = []
    for body in job["bodies"]:
        data = body.encode()
        requests.append(head.format(destination=job["destination"], key=job["key"], length=len(data)).encode() + data)
    load = Load(requests, job["seconds"], job.get("rate", 0))
    loop = asyncio.get_running_loop()
    for _ in range(job["connections"]):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    if load.rate:
        await load.pace()
    while len(load.took) < load.sent and time.perf_counter() - load.begun < load.seconds + 10:
        await asyncio.sleep(0.01)
    return {
        "seconds": time.perf_counter() - load.begun,
        "statuses": load.statuses,
        "took": sorted(load.took),
        "unanswered": load.sent - len(load.took),
    }


if __name__ == "__main__":
    try:
        import uvloop

        runner = uvloop.run
    except ImportError:
        runner = asyncio.run
    json.dump(runner(run(int(sys.argv[1]), json.load(sys.stdin))), sys.stdout)
