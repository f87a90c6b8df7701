"""A killed Redis has all that it answered when it runs again, under the users of `activation acl` and those of docker-compose.yml."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from app.acl import ROLES, rule_of
from app.cli.doctor import examine
from app.devstack.private_redis import find_server
from app.devstack.stack import port_from
from app.durability import find_storage_problems
from app.mapping.problems import Problem
from app.reporting.findings import Level
from app.resources import Resources
from app.sealing import make_key
from app.settings import Settings
from tests.commands import run_command

COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
WORKER = rule_of(ROLES[0], "pw").split()


def printed(folder: Path) -> tuple[list[str], str]:
    """The options of a server with the users that `activation acl` prints, and the password of `worker`."""
    users = folder / "users.acl"
    users.write_text(run_command("acl", "--server", "state").stdout)
    password = re.search(r"^user worker on >(\S+)", users.read_text(), re.MULTILINE)
    assert password
    return [*DURABLE, "--aclfile", str(users)], password[1]


def composed(folder: Path) -> tuple[list[str], str]:
    """The options of the service `redis` of docker-compose.yml, and the password of `worker`."""
    words = yaml.safe_load(COMPOSE.read_text())["services"]["redis"]["command"][1:]
    words = [re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1", word) for word in words]
    words[words.index("--dir") + 1] = str(folder)
    return words, "REDIS_PASSWORD"


def with_default(*rules: str) -> list[str]:
    return [*DURABLE, "--maxmemory-policy", "noeviction", "--user", "default", *rules, "--user", *WORKER]


@contextmanager
def running(folder: Path, options: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = port_from(0)
    command = [find_server(), "--dir", str(folder), *options, "--bind", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            yield process, port
        finally:
            process.kill()


def as_worker(port: int, password: str) -> Redis:
    retry = Retry(ConstantBackoff(0.1), 100, supported_errors=(RedisConnectionError, BusyLoadingError))
    return Redis(port=port, username="worker", password=password, retry=retry, decode_responses=True)


@pytest.mark.parametrize("users", [printed, composed])
def test_what_scripts_and_transactions_wrote_is_there_after_a_kill(
    tmp_path: Path, users: Callable[[Path], tuple[list[str], str]]
) -> None:
    options, password = users(tmp_path)
    with running(tmp_path, options) as (process, port), as_worker(port, password) as redis:
        redis.set("act:plain", 1)
        redis.eval(
            "redis.call('SET', KEYS[1], 1) redis.call('HSET', KEYS[2], 'a', 1)",
            2,
            "act:{d}:script:1",
            "act:{d}:script:2",
        )
        with redis.pipeline(transaction=True) as pipe:
            pipe.xadd("act:{d}:transaction:1", {"a": "1"}).zadd("act:{d}:transaction:2", {"a": 1}).execute()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with running(tmp_path, options) as (_, port), as_worker(port, password) as redis:
        assert sorted(redis.scan_iter("act:*")) == [
            "act:plain", "act:{d}:script:1", "act:{d}:script:2", "act:{d}:transaction:1", "act:{d}:transaction:2",
        ]  # fmt: skip


def test_what_was_left_out_under_former_users_is_read_under_these(tmp_path: Path) -> None:
    """Upgrading in CHANGELOG.md says so."""
    counts = []
    for rules in ("off", "off", "off ~* &* +@all"):
        with running(tmp_path, with_default(*rules.split())) as (process, port), as_worker(port, "pw") as redis:
            counts.append(len(list(redis.scan_iter("act:*"))))
            names = f"act:{len(counts)}:1", f"act:{len(counts)}:2"
            redis.eval("redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1)", 2, *names)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
    assert counts == [0, 0, 4]


def answer(port: int, *lines: str) -> list[str]:
    """What a server says to each line of somebody who has not signed in; a client would sign in by itself."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link, link.makefile("rw", newline="\r\n") as file:
        said = []
        for line in lines:
            file.write(line + "\n")
            file.flush()
            said.append(file.readline().partition(" ")[0].strip())
        return said


@pytest.mark.parametrize("users", [printed, composed])
def test_nobody_can_be_the_user_who_reads_back(tmp_path: Path, users: Callable[[Path], tuple[list[str], str]]) -> None:
    options, password = users(tmp_path)
    with running(tmp_path, options) as (_, port), as_worker(port, password) as redis:
        assert redis.ping()
        assert answer(port, "PING", "GET act:plain", "SET act:plain 1", "ACL WHOAMI", "CONFIG GET *") == ["-NOAUTH"] * 5
        tries = (
            'AUTH ""',
            'AUTH default ""',
            "AUTH default",
            "AUTH default default",
            'HELLO 3 AUTH default ""',
            "HELLO 3",
        )
        for line in tries:
            refused, after = answer(port, line, "GET act:plain")
            assert refused in ("-WRONGPASS", "-NOAUTH", "-ERR"), line
            assert after == "-NOAUTH", line
        assert not redis.exists("act:plain")


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Callable[..., tuple[list[Problem], list[str]]]]:
    """What `connect` warns of, and which problems `doctor` finds in Redis, as the user `worker` beside such a `default`."""

    with ExitStack() as servers:

        def look(*rules: str) -> tuple[list[Problem], list[str]]:
            _, port = servers.enter_context(running(tmp_path, with_default(*rules)))
            servers.enter_context(as_worker(port, "pw")).ping()
            settings = Settings(redis_url=f"redis://worker:pw@127.0.0.1:{port}/0", secret_keys=make_key())
            made = Resources.from_settings(settings)
            servers.callback(made.redis.close)
            findings = [one for one in examine(made) if one.level is Level.PROBLEM and one.what.startswith("redis")]
            assert all(one.remedy for one in findings)
            return find_storage_problems(made.redis), [one.what for one in findings]

        yield look


@pytest.mark.parametrize("rules", [("off",), ("off", "~*", "+@all", "-xadd"), ("on", ">pw", "~other:*", "+@all")])
def test_a_server_that_could_not_read_all_of_it_back_is_told_of(
    found: Callable[..., tuple[list[Problem], list[str]]], rules: tuple[str, ...]
) -> None:
    warnings, problems = found(*rules)
    assert problems == ["redis user default"]
    assert [(one.level, "default" in one.text) for one in warnings] == [("warning", True)]
    assert "activation acl" in warnings[0].remedy


@pytest.mark.parametrize("rules", [("off", "~*", "&*", "+@all"), ("on", ">pw", "~*", "&*", "+@all")])
def test_nothing_is_said_of_one_that_can(
    found: Callable[..., tuple[list[Problem], list[str]]], rules: tuple[str, ...]
) -> None:
    assert found(*rules) == ([], [])


def test_nothing_is_said_where_it_may_not_be_asked(tmp_path: Path) -> None:
    options: list[Any] = [*with_default("off"), "-acl|dryrun"]
    with running(tmp_path, options) as (_, port), as_worker(port, "pw") as redis:
        assert find_storage_problems(redis) == []
