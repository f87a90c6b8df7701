"""A Redis Cluster in ACTIVATION_REDIS_URL: whatever stumbles over it says so, and what to do."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from redis import Redis

from app.devstack.private_redis import find_server
from app.devstack.stack import listens, port_from
from app.durability import find_storage_problems
from app.errors import StorageRefuses
from app.storage import translated

TOLD = (
    "Redis is a cluster, which spreads its keys over several servers.",
    "Name one server in ACTIVATION_REDIS_URL; it may have replicas. Redis Cluster is not supported.",
)
SLOTS = 16_384


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of one of two servers, which have half of the slots each."""
    servers, clients = [], []
    try:
        for number in range(2):
            port, bus = port_from(0), port_from(0)
            folder: Path = tmp_path_factory.mktemp(f"node{number}")
            command = [
                find_server(), "--port", str(port), "--cluster-port", str(bus), "--bind", "127.0.0.1", "--dir", str(folder),
                "--cluster-enabled", "yes", "--save", "",
            ]  # fmt: skip
            servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            while not listens(port):
                assert servers[-1].poll() is None
            clients.append((Redis(port=port), port, bus))
        (first, port, bus), (second, _, _) = clients
        first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS // 2 - 1)
        second.execute_command("CLUSTER", "ADDSLOTSRANGE", SLOTS // 2, SLOTS - 1)
        second.execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        deadline = time.monotonic() + 30
        while any(client.cluster("INFO")["cluster_state"] != "ok" for client, _, _ in clients):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        for client, _, _ in clients:
            client.close()
        for server in servers:
            server.terminate()
            server.wait()


@pytest.fixture
def at_cluster(cluster: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION_REDIS_URL", f"redis://127.0.0.1:{cluster}/0")


def test_a_command_that_is_sent_elsewhere_says_so(run, text, at_cluster):
    for done in (run("connect", "-", stdin=text), run("destinations")):
        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr == f"Error: {TOLD[0]}\n{TOLD[1]}\n"


def test_the_doctor_finds_it(run, at_cluster):
    found = run("doctor", "--json")
    assert found.exit_code == 1
    assert [one["what"] for one in orjson.loads(found.stdout) if "Cluster" in one["remedy"]] == ["redis cluster"]


def test_who_connects_to_one_is_warned_even_if_it_has_all_keys(cluster):
    with Redis(port=cluster) as client:
        assert TOLD in [(problem.text, problem.remedy) for problem in find_storage_problems(client)]


@pytest.mark.parametrize(
    "words",
    [("GET", "a"), ("MGET", "b", "c"), ("SELECT", "1"), ("EVAL", "return redis.call('GET', 'a')", 1, "b"),
     ("EVAL", "return 1", 2, "b", "c")],
)  # fmt: skip
def test_every_refusal_of_a_cluster_is_told(cluster, words):
    """Of these keys the server has b and c, in two slots."""
    with Redis(port=cluster) as client:
        assert client.get("b") is client.get("c") is None
        with pytest.raises(StorageRefuses) as caught, translated():
            client.execute_command(*words)
    assert (str(caught.value), caught.value.remedy) == TOLD
