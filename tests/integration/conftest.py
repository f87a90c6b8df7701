"""One real Redis and one sandbox for all integration tests: the very ones that the product itself would start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from redis import Redis

from app.devstack.private_redis import PrivateRedis
from app.devstack.stack import Stack, listens, port_from, sandbox_command
from app.settings import Settings


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    server = PrivateRedis(tmp_path_factory.mktemp("home"))
    yield server.ensure()
    server.leave()


@pytest.fixture(scope="session")
def redis_port(redis_url):
    """For clients of their own; the server of the tests asks for no password."""
    with Redis.from_url(redis_url) as client:
        client.config_set("requirepass", "")
    return urlsplit(redis_url).port


@pytest.fixture
def redis(redis_port):
    with Redis(port=redis_port) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def sandbox_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One sandbox for all tests that take a tenant of their own in it."""
    with Stack(replace(Settings.from_env(), home=tmp_path_factory.mktemp("sandbox"))) as stack:
        port = port_from(0)
        stack.start("sandbox", sandbox_command(port))
        stack.wait_for("sandbox", lambda: listens(port))
        yield port
