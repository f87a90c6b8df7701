"""A real Redis, and a small HTTP server that plays Marketing Cloud just as far as each test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
from redis import Redis

from app.destinations.model import Account
from app.sealing import KeyRing, make_key
from app.sfmc import MarketingCloud
from app.sfmc.client import Measure

STORED = {
    "operationStatus": "OK",
    "rowsAffected": 1,
    "isNewContactKey": False,
    "requestServiceMessageID": "m-1",
    "hasErrors": False,
    "resultMessages": [],
}
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class Far(ThreadingHTTPServer):
    """The other end. Grants `token-1`, `token-2` …, takes those in `valid`, stores each contact; `rules` go before."""

    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: list[Request] = []
        self.guard = threading.Lock()
        self.valid: set[str] = set()
        self.ends: dict[str, float] = {}
        self.granted = 0
        self.expires_in: float = 1079
        self.named_url: str | None = None
        self.secrets = {"secret"}
        self.rules: list[Callable[[Request], Reply | None]] = []

    def handle_error(self, request, client_address) -> None:
        """A client that went away is no fault of this server."""

    def answer(self, request: Request) -> Reply | None:
        with self.guard:
            self.seen.append(request)
        for rule in list(self.rules):
            reply = rule(request)
            if reply is not None:
                return reply
        if request.path == "/v2/token":
            return self._grant(orjson.loads(request.body))
        with self.guard:
            good = request.bearer in self.valid and time.monotonic() < self.ends[request.bearer]
        if not good:
            return json_reply(401, {"documentation": "", "errorcode": 0, "message": "Not Authorized"})
        if request.path == "/platform/v1/tokenContext":
            return json_reply(202, {"enterprise": {"id": 1}})
        return json_reply(200, STORED)

    def _grant(self, question: dict[str, str]) -> Reply:
        if question["client_secret"] not in self.secrets:
            return json_reply(401, {"error": "invalid_client", "error_description": "Client authentication failed."})
        with self.guard:
            self.granted += 1
            token = f"token-{self.granted}"
            self.valid.add(token)
            self.ends[token] = time.monotonic() + self.expires_in
        return json_reply(
            200,
            {
                "access_token": token,
                "expires_in": self.expires_in,
                "scope": "list_and_subscribers_read list_and_subscribers_write",
                "rest_instance_url": self.named_url if self.named_url is not None else self.url + "/",
            },
        )

    def to(self, path: str) -> list[Request]:
        with self.guard:
            return [request for request in self.seen if request.path == path]

    @property
    def token_requests(self) -> int:
        return len(self.to("/v2/token"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Far

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answer(Request(self.command, self.path, headers, body, self.client_address[1]))
        if reply is None or reply[0] == 0:  # cut the connection
            self.close_connection = True
            return
        status, more, content = reply
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", *(f"{n}: {v}" for n, v in more.items())]
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    do_GET = do_POST = do_PATCH = serve  # noqa: N815  # the names that http.server calls

    def log_message(self, *_) -> None:
        pass


def json_reply(status: int, data: object, **headers: str) -> Reply:
    return status, {"Content-Type": "application/json", **headers}, orjson.dumps(data)


@pytest.fixture
def far():
    server = Far()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Clients:
    """Makes clients that share nothing but Redis, as separate processes would."""

    far: Far
    port: int
    key: str = field(default_factory=make_key)
    made: list[Redis] = field(default_factory=list)

    def account(self, secret: str = "secret") -> Account:
        return Account(
            subdomain="mct0",
            client_id="client-id",
            client_secret=secret,
            account_id="12345",
            auth_base_url=self.far.url,
            rest_base_url=self.far.url,
            local=True,
        )

    def make(
        self, *, secret: str = "secret", read_timeout_seconds: float = 5.0, measure: Measure | None = None
    ) -> MarketingCloud:
        redis = Redis(port=self.port)
        cloud = MarketingCloud(
            self.account(secret),
            redis,
            KeyRing([self.key]),
            connect_timeout_seconds=2.0,
            read_timeout_seconds=read_timeout_seconds,
            measure=measure,
        )
        self.made.append(redis)
        return cloud


@pytest.fixture
def clients(far, redis, redis_port):
    maker = Clients(far, redis_port)
    yield maker
    for client in maker.made:
        client.close()
