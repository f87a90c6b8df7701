"""A Marketing Cloud that accepts every contact without looking at it: `python static_server.py PORT [LATENCY_MS]`.

It costs about a tenth of the sandbox's CPU per call, for figures that the server must not bound. It counts the calls, and
the CPU of its own process is not the pipeline's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from app.sandbox.seed import seeded_catalogue


def _answer(document: Any, *, status: str = "200 OK") -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Static(asyncio.Protocol):
    """One connection. Requests come one after another on it, as HTTP/1.1 clients without pipelining send them."""

    contacts = 0
    latency_seconds = 0.0
    accepted = _answer(
        {"operationStatus": "OK", "rowsAffetcted": 1, "contactKey": "c", "contactId": 1, "contactTypeID": 0,
         "isNewContactKey": False, "requestServiceMessageID": "2a1cd0ad-0000-4000-8000-000000000000",
         "hasErrors": False, "resultMessages": [], "serviceMessageID": "2a1cd0ad-0000-4000-8000-000000000001"}
    )  # fmt: skip
    token = b""
    definitions = b""

    def __init__(self) -> None:
        self.buffer = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head_end = self.buffer.find(b"\r\n\r\n")
            if head_end < 0:
                return
            length_at = self.buffer.lower().find(b"content-length:", 0, head_end)
            length = int(self.buffer[length_at + 15 : self.buffer.find(b"\r", length_at)]) if length_at >= 0 else 0
            if len(self.buffer) < head_end + 4 + length:
                return
            request, self.buffer = self.buffer[:head_end], self.buffer[head_end + 4 + length :]
            answer = self.answer(request)
            if Static.latency_seconds and request.startswith(b"PATCH"):
                asyncio.get_running_loop().call_later(Static.latency_seconds, self.transport.write, answer)
            else:
                self.transport.write(answer)

    def answer(self, request: bytes) -> bytes:
        if request.startswith(b"PATCH"):
            Static.contacts += 1
            return self.accepted
        path = request.split(b" ", 2)[1]
        if path.endswith(b"/v2/token"):
            return self.token
        if path.endswith(b"/count"):
            return _answer({"contacts": Static.contacts})
        return self.definitions


async def main(port: int) -> None:
    """Serve until the process is told to stop."""
    sets = [one.as_json() for one in seeded_catalogue()]
    Static.definitions = _answer({"page": 1, "pageSize": 2000, "count": len(sets), "items": sets})
    Static.token = _answer(
        {"access_token": "t" * 40, "token_type": "Bearer", "expires_in": 1079,
         "scope": "list_and_subscribers_read list_and_subscribers_write audiences_read",
         "rest_instance_url": f"http://127.0.0.1:{port}/"}
    )  # fmt: skip
    server = await asyncio.get_running_loop().create_server(Static, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    Static.latency_seconds = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0
    asyncio.run(main(int(sys.argv[1])))
