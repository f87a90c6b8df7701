"""A real console: its server in a thread, a Redis, a sandbox tenant of the test's own, and a client as a browser is one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest
import requests

from app.access.api_keys import ApiKeys
from app.access.roles import Role
from app.access.sessions import Sessions
from app.access.users import Users
from app.console.server import make_server
from app.destinations.file import load
from app.destinations.model import Destination
from app.devstack.stack import listens, port_from
from app.resources import Resources
from app.sealing import make_key
from app.settings import Settings

_tenants = count(1)
FILE = """\
id: {id}
name: Camp
account:
  subdomain: mctest
  client_id: sandbox-client
  client_secret: sandbox-secret
  auth_base_url: {base}
  rest_base_url: {base}
mapping:
  - {{source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}}
  - {{source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}}
  - {{source: "xdm: person.name.firstName", target: "Attribute: Email Demographics.First Name"}}
segments:
  - {{id: seg-1, name: One, mapping_id: salesforce_mc_segment_1}}
"""
ALERTS = """\
alerts:
  - {webhook: "https://ops.test/unseen", secret: unseen-secret, kinds: [stopped]}
  - {email: unseen@mail.test}
"""


class Console:
    """`changes` are settings that differ."""

    def __init__(self, redis_port: int, sandbox_port: int, **changes: object) -> None:
        self.port = port_from(0)
        self.base = f"http://127.0.0.1:{sandbox_port}/t/console{next(_tenants)}"
        settings = replace(
            Settings.from_env(), redis_url=f"redis://127.0.0.1:{redis_port}/0", secret_keys=make_key(), allow_local_hosts="true",
        )  # fmt: skip
        self.settings = replace(settings, **changes)
        self.resources = Resources.from_settings(self.settings)
        redis, ring = self.resources.redis, self.resources.ring
        self.users = Users(redis, ring)
        self.sessions = Sessions(redis, ring, self.users)
        self.api_keys = ApiKeys(redis, ring)
        self.server = make_server(self.resources, "127.0.0.1", self.port, url=self.url)
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()
        while not listens(self.port):
            assert self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.server.should_exit = True
        self._thread.join()
        self.resources.redis.close()

    def connect(self, name: str = "camp", *, more: str = "") -> Destination:
        """`more` is the end of its file."""
        text = FILE.format(id=name, base=self.base) + more
        made = load(text, environ={}, allow_local_hosts=True)
        self.resources.destinations.save(made)
        return made

    def client(self, role: Role | None = None) -> Client:
        client = Client(self.url)
        if role is not None:
            token = self.sessions.make_link(str(role), role, asks_password=False)
            assert client.post(f"/link/{token}").status_code == 200
        return client

    def key(self, role: Role) -> str:
        return self.api_keys.add(str(role), role, now_ms=1)


class Client(requests.Session):
    """Paths instead of addresses, and the CSRF token of the page that was seen last."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.csrf = ""

    def request(self, method, url, **more):
        answer = super().request(method, self.url + url if url.startswith("/") else url, timeout=20, **more)
        if found := re.search(r'name="csrf" value="([^"]+)"', answer.text):
            self.csrf = found[1]
        return answer

    def send_form(self, path: str, **fields: str) -> requests.Response:
        return self.post(path, data={"csrf": self.csrf, **fields})


@pytest.fixture
def make_console(redis, redis_port: int, sandbox_port: int, monkeypatch) -> Iterator[Callable[..., Console]]:
    made: list[Console] = []

    def make(**changes: object) -> Console:
        made.append(Console(redis_port, sandbox_port, **changes))
        return made[-1]

    yield make
    for console in made:
        console.close()


@pytest.fixture(scope="session")
def served(redis_port: int, sandbox_port: int) -> Iterator[Console]:
    """One server for all tests that need no settings of their own."""
    console = Console(redis_port, sandbox_port)
    yield console
    console.close()


@pytest.fixture
def console(redis, served: Console) -> Console:
    served.base = f"{served.base.rpartition('/')[0]}/console{next(_tenants)}"
    return served
