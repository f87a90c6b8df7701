"""The commands are found by their names, and imported one by one."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from app.cli import activation


@pytest.mark.parametrize("name", sorted(activation.commands))
def test_a_command_is_found_under_its_name(name: str) -> None:
    command = activation.commands[name]
    assert isinstance(command, click.Command)
    assert command.name == name


def test_a_misspelt_one_is_told_what_it_may_have_meant() -> None:
    answer = CliRunner().invoke(activation, ["conect"])
    assert answer.exit_code == 2
    assert "connect" in answer.output


def test_a_command_does_not_bring_the_console_with_it() -> None:
    text = "import sys; from app.cli import activation; activation.commands['runs']; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    modules = done.stdout.splitlines()
    assert "app.cli.runs" in modules
    assert "app.console.server" not in modules
    assert "uvicorn" not in modules
