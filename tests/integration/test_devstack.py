"""What runs on one machine: with a Redis that is there already, and how it ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.devstack.stack import Stack, commands, port_from
from app.sealing import make_key
from app.settings import Settings

WITHIN_SECONDS = 30.0


def test_beat_sends_to_the_redis_that_is_named(redis, redis_port, tmp_path):
    settings = replace(
        Settings(),
        home=tmp_path,
        redis_url=f"redis://127.0.0.1:{redis_port}/0",
        secret_keys=make_key(),
        sweep_seconds=0.2,
    )
    with Stack(settings) as stack:
        stack.start_redis()
        stack.start("beat", commands(workers=0, flower_port=None, log_level="INFO")["beat"])
        deadline = time.monotonic() + WITHIN_SECONDS
        while not redis.llen("maintenance"):
            assert time.monotonic() < deadline, stack.log_of("beat").read_text()
            time.sleep(0.05)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_a_port_is_free_again_as_soon_as_its_server_has_ended(listener):
    """The server ends its connections first, so the system keeps them for a minute (TIME_WAIT)."""
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        served, _ = listener.accept()
        served.close()
        assert client.recv(1) == b""
    listener.close()
    assert port_from(port) == port


def test_a_port_that_somebody_listens_on_is_taken(listener):
    port = listener.getsockname()[1]
    assert port_from(port) != port
