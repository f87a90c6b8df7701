"""docs/configuration.md says what app/settings.py says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.settings import OPTIONS, PREFIX, configuration_page

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "configuration.md"


def rows() -> dict[str, str]:
    """Variable -> its whole row of the table."""
    found = [line for line in configuration_page().splitlines() if line.startswith(f"| `{PREFIX}")]
    return {line.split("`")[1]: line for line in found}


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == configuration_page(), "run `make configuration`"


def test_the_command_prints_the_page():
    printed = subprocess.run([sys.executable, "-m", "app.settings"], cwd=ROOT, capture_output=True, check=True)
    assert printed.stdout.decode() == configuration_page()
    assert printed.stderr == b""


def test_every_option_has_one_row_of_three_cells_in_the_order_of_the_table():
    assert list(rows()) == [option.variable for option in OPTIONS]
    assert {line.replace(r"\|", "").count("|") for line in rows().values()} == {4}


def test_a_default_is_shown_as_it_is_written_into_the_environment(monkeypatch):
    from app.settings import Settings

    for option in OPTIONS:
        shown = rows()[option.variable].split(" | ")[1]
        if shown == "unset":
            assert option.default == ""
            continue
        monkeypatch.setenv(option.variable, shown.strip("`"))
        assert getattr(Settings.from_env(), option.field) == option.default
        monkeypatch.delenv(option.variable)
