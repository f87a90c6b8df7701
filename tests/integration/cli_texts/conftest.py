"""The commands, run in this process as a shell would run them, against a real Redis and a real sandbox."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result

from app.sealing import make_key
from tests.commands import run_command
from tests.integration.sandbox.client import Sandbox

Run = Callable[..., Result]

FILE = """\
id: spring
name: Spring
account:
  subdomain: {subdomain}
  client_id: sandbox-client
  client_secret: sandbox-secret
  auth_base_url: {base_url}
  rest_base_url: {base_url}
mapping:
  - {{source: "IdentityMap: crm", target: "Identity: salesforceContactKey"}}
  - {{source: "xdm: mail.address", target: "Attribute: Email Addresses.Email Address"}}
  - {{source: "xdm: person.first", target: "Attribute: Email Demographics.First Name"}}
segments:
  - {{id: renters, mapping_id: salesforce_mc_segment_1}}
  - {{id: owners, mapping_id: salesforce_mc_segment_2}}
"""
_names = itertools.count(1)


@pytest.fixture
def run() -> Run:
    return run_command


@pytest.fixture(autouse=True)
def environment(monkeypatch, redis, redis_port, tmp_path):
    """A Redis that is empty, keys of its own, and nothing else from the environment of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("ACTIVATION_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ACTIVATION_REDIS_URL", f"redis://127.0.0.1:{redis_port}/0")
    monkeypatch.setenv("ACTIVATION_SECRET_KEYS", make_key())
    monkeypatch.setenv("ACTIVATION_ALLOW_LOCAL_HOSTS", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sandbox(sandbox_port) -> Iterator[Sandbox]:
    """A tenant of its own for each test."""
    one = Sandbox(f"http://127.0.0.1:{sandbox_port}/t/mct{next(_names)}")
    with one.http:
        yield one


@pytest.fixture
def text(sandbox) -> str:
    """A destination file without a fault."""
    return FILE.format(base_url=sandbox.base_url, subdomain=sandbox.base_url.rpartition("/")[2])


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
