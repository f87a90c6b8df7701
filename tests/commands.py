"""The command line, run in this process as a shell would run it: a process of its own takes a second to start."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click
import pytest
from click.testing import CliRunner, Result

from app.cli import main


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def _entry(words: tuple[str, ...]) -> None:
    """The entry point of the installed command: it reads `sys.argv` and ends by `sys.exit`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["activation", *words])
        main()


def run_command(*words: object, stdin: str | bytes = "", environ: Mapping[str, str] | None = None) -> Result:
    """Run `activation WORDS`; its exit code and both streams. A traceback instead of a message fails the test."""
    result = CliRunner(env=environ).invoke(_entry, ["--", *map(str, words)], input=stdin)
    assert isinstance(result.exception, SystemExit | None), f"ended by {result.exception!r}"
    assert "Traceback" not in result.output
    return result
