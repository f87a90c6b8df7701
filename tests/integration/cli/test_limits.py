"""Limits belong to the account: what `connect` says when its destinations disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_destinations_of_one_account_that_disagree_are_refused_with_both_values(shell: Any) -> None:
    assert shell("connect", shell.file()).code == 0
    other = shell.edited("id: camp\n", "id: other\nlimits: {calls_per_minute: 1200, max_in_flight: 4}\n")
    refused = shell("connect", other)
    assert refused.code == 1
    assert "limits.calls_per_minute" in refused.said
    assert "camp, of the same account, has 2400, and this file has 1200" in refused.said
    assert "camp, of the same account, has 10, and this file has 4" in refused.said
    assert [row["id"] for row in json.loads(shell("destinations", "--json").out)] == ["camp"]


def test_the_limits_of_an_account_can_be_changed_for_all_its_destinations(shell: Any) -> None:
    for name in ("camp", "second"):
        assert shell("connect", shell.edited("id: camp\n", f"id: {name}\n")).code == 0
    done = shell(
        "connect", shell.edited("id: camp\n", "id: camp\nlimits: {calls_per_minute: 1200}\n"), "--limits-of-account"
    )
    assert done.code == 0
    assert "second has the same limits now" in done.said
    rows = json.loads(shell("destinations", "--json").out)
    assert [row["pace"]["allowed_per_minute"] for row in rows] == [1200, 1200]
    assert [row["pace"]["why"] for row in rows] == ["configured", "configured"]


def test_replacing_the_only_destination_may_change_its_limits(shell: Any) -> None:
    assert shell("connect", shell.file()).code == 0
    assert shell("connect", shell.edited("id: camp\n", "id: camp\nlimits: {calls_per_minute: 60}\n")).code == 0


def test_another_account_has_limits_of_its_own(shell: Any) -> None:
    assert shell("connect", shell.file()).code == 0
    other = shell.edited("id: camp\n", "id: other\nlimits: {calls_per_minute: 60}\n")
    text = Path(other).read_text().replace("subdomain: mctest", "subdomain: mcother")
    assert shell("connect", shell.file(text, "other.yaml")).code == 0
