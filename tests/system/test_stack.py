"""One stack per home: who owns it, what a killed one leaves behind, and its private servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
import requests
from celery import Celery
from click.testing import Result

from app.devstack.home import Home
from app.devstack.private_redis import PrivateRedis, private_servers
from app.settings import Settings
from tests.commands import run_command

WITHIN_SECONDS = 90.0


@dataclass
class Machine:
    """A home, and the commands that run in it."""

    home: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "ACTIVATION_HOME": str(self.home)}

    def begin(self) -> PrivateRedis:
        """Its keys, and its Redis to be started."""
        Home(self.home).create()
        Home(self.home).keys()
        return PrivateRedis(self.home)

    def run(self, *words: str, **environ: str) -> Result:
        return run_command(*words, environ={**self.environ, **environ})

    def up(self) -> subprocess.Popen[str]:
        """Start a stack and wait until it says that it is up."""
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up", "--workers", "1", "--no-flower"],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        assert process.stdout is not None
        said = self.said = []
        for line in process.stdout:
            said.append(line)
            if "are up" in line:
                return process
        raise AssertionError("".join(said))

    def running(self) -> dict[str, int]:
        return Home(self.home).running()

    def processes(self) -> list[str]:
        """The command lines of all that runs in this home, whoever knows of it."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                ours = process.environ().get("ACTIVATION_HOME") == str(self.home) or str(self.home) in " ".join(words)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(words))
        return found

    def clean(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for name in self.running():
            Home(self.home).lock(name).end(timeout_seconds=10)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "home")
    yield made
    made.clean()


def wait_until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_home_has_one_stack_which_can_be_looked_at_and_ended(machine: Machine) -> None:
    """It takes seconds of CPU to start, so that all is looked at in one."""
    server = machine.begin()
    server.ensure()  # as another command does
    pid = server.pid
    first = machine.up()
    server.leave()
    assert machine.running()["redis"] == pid, "it keeps the Redis that it has found"

    second = machine.run("up", "--workers", "1", "--no-flower")
    assert second.exit_code == 2
    assert f"process {first.pid}" in second.stderr
    assert "activation down" in second.stderr

    status = machine.run("status", "--json")
    assert status.exit_code == 0
    shown = orjson.loads(status.stdout)
    assert shown["up"] is True
    assert {"stack", "redis", "broker", "worker-1", "maintenance", "beat"} <= set(shown["processes"])

    check_that_a_link_signs_in_once(machine, shown["addresses"]["Console"])
    check_that_redis_is_started_again(machine, server)

    assert machine.run("down").exit_code == 0
    assert first.wait(30) is not None
    assert machine.running() == {}
    after = machine.run("status")
    assert after.exit_code == 1
    assert "activation up" in after.stderr


def check_that_a_link_signs_in_once(machine: Machine, console: str) -> None:
    (link,) = [line.split()[1] for line in machine.said if line.startswith("Console  ")]
    address = link.partition("/link/")[0]
    assert console == address
    session = requests.Session()
    assert session.post(link, timeout=30).url == f"{address}/"
    assert session.get(f"{address}/people", timeout=30).status_code == 200
    assert requests.post(link, timeout=30).status_code == 410
    another = orjson.loads(machine.run("user", "link", "--json").stdout)["link"]
    assert another.startswith(f"{address}/link/")


def check_that_redis_is_started_again(machine: Machine, server: PrivateRedis) -> None:
    """Also by a stack that has found it."""
    assert machine.run("destinations").exit_code == 0
    pid = machine.running()["redis"]
    os.kill(pid, signal.SIGKILL)
    if server._process is not None:
        server._process.wait()
    wait_until(lambda: machine.running().get("redis", pid) != pid, "Redis started again")
    wait_until(lambda: machine.run("destinations").exit_code == 0, "the state answers again")


def test_what_a_killed_stack_leaves_is_ended_by_the_next(machine: Machine) -> None:
    first = machine.up()
    left = {name: pid for name, pid in machine.running().items() if name != "stack"}
    first.kill()
    first.wait()
    assert set(machine.running()) == set(left), "the children outlive their parent"
    said = machine.run("status")
    assert said.exit_code == 1
    assert "worker-1" in said.stderr

    machine.up()
    now = machine.running()
    assert set(now) == {*left, "stack"}
    assert now["redis"] == left["redis"], "its data server is used again"
    assert all(now[name] != left[name] for name in ("worker-1", "maintenance", "beat"))
    assert sum(" worker " in line for line in machine.processes()) == 2, machine.processes()

    machine.run("down")
    wait_until(lambda: not machine.processes(), "everything ended")


def test_commands_that_look_make_no_home(machine: Machine) -> None:
    for words in (
        ["destinations"],
        ["status"],
        ["down"],
        ["runs", "camp"],
        ["job", "x"],
        ["failures", "camp"],
        ["metrics"],
    ):
        done = machine.run(*words)
        assert done.exit_code == 2, words
        assert "ACTIVATION_HOME" in done.stderr
    assert not machine.home.exists()


def test_lost_keys_beside_data_are_an_error(machine: Machine) -> None:
    server = machine.begin()
    first = Home(machine.home).keys()
    server.ensure()
    server.leave()
    assert Home(machine.home).keys() == first
    Home(machine.home).secret_keys.unlink()
    done = machine.run("destinations")
    assert done.exit_code == 2
    assert "secret-keys" in done.stderr
    assert not Home(machine.home).secret_keys.exists()


def test_an_older_server_does_not_take_newer_data(machine: Machine, tmp_path: Path) -> None:
    server = machine.begin()
    server.ensure()
    server.leave()
    older = tmp_path / "redis-server"
    older.write_text("#!/bin/sh\necho 'Redis server v=7.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=0'\n")
    older.chmod(0o755)
    refused = machine.run("destinations", ACTIVATION_REDIS_SERVER=str(older))
    assert refused.exit_code == 2
    assert "Redis 7.0.16" in refused.stderr
    assert "written by Redis 8" in refused.stderr
    assert "ACTIVATION_REDIS_SERVER" in refused.stderr


def test_the_server_of_the_path_is_not_taken_where_the_embedded_one_is_there(machine: Machine, tmp_path: Path) -> None:
    trap = tmp_path / "bin" / "redis-server"
    trap.parent.mkdir()
    trap.write_text("#!/bin/sh\nexit 1\n")
    trap.chmod(0o755)
    machine.begin()
    done = machine.run("destinations", PATH=f"{trap.parent}:{os.environ['PATH']}")
    assert done.exit_code == 0, done.stderr


def test_what_passes_through_the_broker_rests_on_no_disk(machine: Machine) -> None:
    """A message that waits on the private broker is in no file of the home."""

    machine.begin()
    filled = private_servers(replace(Settings.from_env(), home=machine.home))
    with filled as settings, Celery(broker=settings.broker_url) as sender:
        sender.send_task(
            "activation.enqueue",
            queue="activation",
            kwargs={"destination": "camp", "profiles": [{"personalEmail": {"address": "marker-1@mail.test"}}]},
        )
    for path in machine.home.rglob("*"):
        if path.is_file():
            assert b"marker-1" not in path.read_bytes(), path
