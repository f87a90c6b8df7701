"""A Redis that may lose what it is given is told of by `connect`, `check` and `up`, and refused by none of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.acl import ROLES, rule_of
from app.destinations.preflight import Problem
from app.devstack.private_redis import find_server
from app.devstack.stack import port_from
from app.durability import find_storage_problems

DURABLE = ("--appendonly", "yes", "--save", "")
NOTHING = ("--appendonly", "no", "--save", "")
SNAPSHOTS = ("--appendonly", "no", "--save", "3600 1")
DURABLE_AND_LASTING = (*DURABLE, "--maxmemory-policy", "noeviction")


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Redis]:
    port = port_from(0)
    command = [find_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process, Redis(port=port) as client:
        try:
            deadline = time.monotonic() + 30
            while not _answers(client):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield client
        finally:
            process.terminate()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Redis]]:
    with ExitStack() as servers:
        yield lambda *options: servers.enter_context(running(tmp_path, *options))


def port_of(client: Redis) -> int:
    return int(client.connection_pool.connection_kwargs["port"])


def as_user(client: Redis, name: str) -> Redis:
    admin: Any = client
    role = next(role for role in ROLES if (role.server, role.name) == ("state", name))
    admin.execute_command("ACL", "SETUSER", *rule_of(role, "pw").split())
    return Redis(port=port_of(client), username=name, password="pw")


def told(problems: list[Problem]) -> str:
    assert all(problem.level == "warning" and problem.where == "Redis" and problem.remedy for problem in problems)
    return " ".join(problem.text for problem in problems)


def test_nothing_is_said_of_a_redis_as_it_should_be(start):
    assert find_storage_problems(start(*DURABLE_AND_LASTING)) == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_an_evicting_policy(start, policy):
    problems = find_storage_problems(start(*DURABLE, "--maxmemory-policy", policy))
    assert len(problems) == 1
    assert policy in told(problems)
    assert "noeviction" in problems[0].remedy


@pytest.mark.parametrize(
    ("options", "text"), [(NOTHING, "writes nothing to a disk"), (SNAPSHOTS, "makes snapshots only")]
)
def test_no_append_only_file(start, options, text):
    problems = find_storage_problems(start(*options))
    assert len(problems) == 1
    assert text in told(problems)
    assert "appendonly yes" in problems[0].remedy


@pytest.mark.parametrize("role", ["worker", "producer", "metrics"])
def test_no_role_needs_a_right_to_the_configuration(start, role):
    server = start(*NOTHING, "--maxmemory-policy", "allkeys-lfu")
    with as_user(server, role) as client:
        text = told(find_storage_problems(client))
    assert "allkeys-lfu" in text
    assert "no append-only file" in text


def test_a_redis_that_may_not_be_asked(start):
    server = start(*DURABLE)
    admin: Any = server
    admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-info")
    with Redis(port=port_of(server), username="app", password="pw") as client:
        problems = find_storage_problems(client)
    assert "not known" in told(problems)
    assert "activation acl" in problems[0].remedy


def test_a_redis_that_has_gone(tmp_path):
    with running(tmp_path, *DURABLE) as client:
        pass
    assert "does not answer" in told(find_storage_problems(client))


@pytest.mark.parametrize("role", ["", "worker"])
def test_connect_and_check_warn_and_go_on(start, shell, role):
    server = start(*NOTHING, "--maxmemory-policy", "allkeys-lru")
    user = ""
    if role:
        as_user(server, role).close()
        user = f"{role}:pw@"
    shell.monkeypatch.setenv("ACTIVATION_REDIS_URL", f"redis://{user}127.0.0.1:{port_of(server)}/0")
    connected = shell("connect", shell.file())
    checked = shell("check", "camp")
    listed = shell("check", "camp", "--json")
    assert "Connected" in connected.out
    for done in (connected, checked):
        assert done.code == 0
        assert "warning: Redis: maxmemory-policy is allkeys-lru" in done.said
        assert "appendonly yes" in done.said
    assert listed.code == 0
    assert listed.out.count('"where": "Redis"') == 2


UP = """
import app.cli.stack
from tests.system.preloaded import PreloadedStack
app.cli.stack.Stack = PreloadedStack
app.cli.main()
"""


def test_up_warns_and_goes_on(start, shell, tmp_path):
    server = start(*NOTHING)
    environ = {**os.environ, "ACTIVATION_REDIS_URL": f"redis://127.0.0.1:{port_of(server)}/0"}
    environ["ACTIVATION_HOME"] = str(tmp_path / "home")
    command = [sys.executable, "-c", UP, "up", "--workers", "1", "--no-flower"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stdout.readline, "")
        assert any("Ctrl-C stops them" in line for line in lines)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "warning: Redis: Redis writes nothing to a disk" in complaints


def test_the_redis_of_this_machine_answers_when_it_is_on_the_disk(redis: Redis) -> None:
    """With `everysec` it keeps writes to itself while the disk is busy, and loses them when it is killed then."""
    found: Any = redis.config_get("append*")
    assert (found["appendonly"], found["appendfsync"]) == ("yes", "always")
