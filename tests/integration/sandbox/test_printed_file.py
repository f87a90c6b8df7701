"""The destination file that `activation sandbox` prints is accepted by whoever follows its advice."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.destinations.file import load
from app.devstack.stack import port_from
from app.settings import Settings

COMPOSE = Path(__file__).resolve().parents[3] / "docker-compose.yml"
OF_COMPOSE = yaml.safe_load(COMPOSE.read_text())["services"]["sandbox"]["command"]


@pytest.mark.parametrize(
    ("words", "host"), [(["activation", "sandbox", "--port", "8025"], "127.0.0.1"), (OF_COMPOSE, "sandbox")]
)
def test_is_accepted(words: list[str], host: str) -> None:
    port = str(port_from(0))
    command = [sys.executable, "-m", "app.cli", *(port if word == "8025" else word for word in words[1:])]
    printed = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            printed.append(line)
            if line.startswith("limits:"):
                break
        process.terminate()
    advice = re.search(r"ACTIVATION_ALLOW_LOCAL_HOSTS=(\S+)", printed[0])
    assert advice
    local = Settings(allow_local_hosts=advice[1]).local_hosts
    destination = load(
        "".join(printed), environ={}, allow_local_hosts=local is not None, local_names=local or frozenset()
    )
    assert destination.account.rest_base_url == f"http://{host}:{port}/t/mcdemo"
