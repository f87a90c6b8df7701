"""What runs on one machine: with a Redis that is there already, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from app.destinations.file import load
from app.devstack.home import Home
from app.devstack.private_redis import PrivateRedis, find_server, version_of
from app.devstack.stack import Stack, commands, listens, port_from
from app.errors import ServiceUnreachable, UsageError
from app.producer import Producer
from app.queues import DELIVERY_QUEUE
from app.reporting.jobs import read_job
from app.resources import Resources, connect
from app.sealing import make_key
from app.settings import OPTIONS, Settings
from tests.system.rig import DESTINATION, profile

ROOT = Path(__file__).parents[2]
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


def test_a_redis_that_hangs_is_named_within_seconds(tmp_path):
    first, second = PrivateRedis(tmp_path / "home"), PrivateRedis(tmp_path / "home")
    first.ensure()
    pid = first.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with pytest.raises(ServiceUnreachable, match=f"process {pid}") as raised:
            second.ensure()
        assert time.monotonic() - begun < 20
        assert f"kill -CONT {pid}" in raised.value.remedy
    finally:
        os.kill(pid, signal.SIGCONT)
        second.leave()
        first.leave()


SLOW = """\
#!/bin/sh
[ "$1" = --version ] && exec {server} --version
exec {server} "$@" --key-load-delay 500
"""
STARTS = """
import sys
from pathlib import Path
from app.devstack.private_redis import PrivateRedis
PrivateRedis(Path(sys.argv[1]), server=sys.argv[2]).ensure()
"""


def loads(url: str) -> bool:
    with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        try:
            client.ping()
        except BusyLoadingError:
            return True
        except RedisError:
            pass
    return False


def test_a_redis_that_loads_its_file_is_waited_for_by_whoever_did_not_start_it(home, tmp_path, monkeypatch):
    slow = tmp_path / "slow-redis"
    slow.write_text(SLOW.format(server=find_server()))
    slow.chmod(0o755)
    server = PrivateRedis(home.path)
    url = server.ensure()
    with Redis.from_url(url) as client, client.pipeline(transaction=False) as pipeline:
        for number in range(6_000):
            pipeline.set(f"key-{number}", number)
        pipeline.execute()
    server.leave()
    starter = subprocess.Popen([sys.executable, "-c", STARTS, home.path, slow], cwd=ROOT)
    deadline = time.monotonic() + WITHIN_SECONDS
    while not loads(url):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    starter.kill()
    starter.wait()
    monkeypatch.setattr("app.devstack.private_redis.ANSWER_SECONDS", 0.2)
    begun = time.monotonic()
    with Redis.from_url(server.ensure()) as client:
        assert client.dbsize() == 6_000
    assert time.monotonic() - begun > 0.2, "it has loaded already, and nothing was tried"
    server.leave()


STACK = """
import time
from app.devstack.signals import ending_in_order
from app.devstack.stack import Stack
from app.settings import Settings
with ending_in_order(), Stack(Settings.from_env()) as stack:
    stack.start_redis()
    stack.start("slow", ["bash", "-c", "trap 'touch told; sleep 1; exit' TERM; touch ready; while :; do sleep 0.1; done"])
    stack.wait_for("slow", (stack.home.path / "ready").exists)
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An installation with a private Redis; what a test leaves there is ended."""
    made = Home(tmp_path / "home")
    made.create()
    made.keys()
    yield made
    for name in made.running():
        made.lock(name).end(timeout_seconds=5)


def start(home: Home, *words: str) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ACTIVATION_")}
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=environ | {"ACTIVATION_HOME": str(home.path)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("content", ["", "8.", "eight\n"])
def test_a_note_of_the_version_that_was_cut_off_does_no_harm(home, content):
    note = home.path / "redis" / "version"
    note.write_text(content)
    server = PrivateRedis(home.path)
    server.ensure()
    server.leave()
    written = note.read_text()
    assert tuple(map(int, written.split("."))) == version_of(find_server())
    about = note.stat()
    server.ensure()
    server.leave()
    assert (note.read_text(), note.stat().st_mtime_ns) == (written, about.st_mtime_ns)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_stack_stops_leaves_nothing_behind(home, number):
    with start(home, "-c", STACK) as process:
        assert process.stdout.readline() == b"up\n"
        assert set(home.running()) == {"stack", "slow", "redis", "broker"}
        process.send_signal(number)
        deadline = time.monotonic() + WITHIN_SECONDS
        while not (home.path / "told").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.send_signal(number)
        assert process.wait(WITHIN_SECONDS) in (-signal.SIGINT, 128 + number)
        assert home.running() == {}


@pytest.fixture
def only_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Nothing is set but ACTIVATION_HOME."""
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
    monkeypatch.setenv("ACTIVATION_HOME", str(home.path))
    return home


def test_a_producer_finds_what_it_needs_in_the_home_of_a_running_stack(only_home):
    with Stack(Settings.from_env()) as stack:
        settings = stack.start_redis()
        resources = Resources.from_settings(settings)
        text = DESTINATION.format(
            id="camp", tenant="home", secret="s", base="http://127.0.0.1:1", calls_per_minute=600, max_in_flight=1,
            mapping_id="salesforce_mc_segment_1",
        )  # fmt: skip
        resources.destinations.save(load(text, environ={}, allow_local_hosts=True, where="camp"))
        job = Producer.from_env().enqueue("camp", [profile("c-1")])
        assert read_job(resources.redis, job).pending == 1
        with connect(settings.broker_url) as broker:
            assert broker.llen(DELIVERY_QUEUE) == 1
        resources.redis.close()


def test_a_producer_starts_no_stack(only_home):
    with pytest.raises(UsageError, match="no stack runs in") as caught:
        Producer.from_env()
    assert "`activation up` starts one" in caught.value.remedy
    assert only_home.running() == {}


@pytest.mark.parametrize("named", ["redis", "broker"])
def test_a_producer_is_told_what_the_running_stack_has_elsewhere(only_home, named):
    with Stack(replace(Settings.from_env(), broker_url="redis://127.0.0.1:1/0")) as stack:
        if named == "broker":
            stack.start_redis()
        with pytest.raises(UsageError, match=f"ACTIVATION_{named.upper()}_URL is not set, and the stack"):
            Producer.from_env()
    assert only_home.running() == {}


def test_a_producer_where_there_is_no_installation(only_home, monkeypatch, tmp_path):
    monkeypatch.setenv("ACTIVATION_HOME", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="There is no installation in"):
        Producer.from_env()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["console", "intake"])
def test_a_server_that_is_told_to_end_leaves_no_redis_behind(home, command, number):
    port = port_from(0)
    with start(home, "-m", "app.cli", command, "--port", str(port)) as process:
        deadline = time.monotonic() + WITHIN_SECONDS
        while not listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        serving = HTTPConnection("127.0.0.1", port, timeout=WITHIN_SECONDS)
        serving.request("GET", "/livez")
        serving.getresponse().close()  # it listens before it serves
        serving.close()
        assert set(home.running()) == {"redis", "broker"}
        process.send_signal(number)
        assert process.wait(WITHIN_SECONDS) == (128 + number if number == signal.SIGINT else 0)
        assert b"Traceback" not in process.stderr.read()
    assert home.running() == {}
