"""One real Redis for all integration tests: the server that the product itself would start."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from redis import Redis

from app.private_redis import PrivateRedis


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    server = PrivateRedis(tmp_path_factory.mktemp("home"))
    yield server.ensure()
    server.stop()


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
