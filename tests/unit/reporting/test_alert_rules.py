"""Facts in, alerts out: a table for each rule, on both sides of its bound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.alert_kinds import KINDS
from app.destinations.state import State, Status
from app.memory import Memory
from app.reporting.quota import Quota
from app.reporting.runs import OUTCOMES, Run
from app.sweep.alert_rules import (
    DestinationFacts,
    destination_alerts,
    notices,
    storage_alerts,
    sweep_alerts,
    watch_alerts,
)

QUIET = DestinationFacts("camp", State(), Quota(used=10, allowed=1_000, forecast=20))
PAUSED = State(status=Status.PAUSED)
STOPPED = State(status=Status.STOPPED, code="bad_credentials", text="Not accepted.", remedy="Mend it.")
DEGRADED = State(status=Status.DEGRADED, code="outage", text="Nobody answers.")


def run(hour: int = 5, received: int = 0, **outcomes: int) -> Run:
    return Run(hour, received, {**dict.fromkeys(OUTCOMES, 0), **outcomes}, 0, 0)


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"state": PAUSED}, []),
        ({"state": STOPPED}, ["stopped"]),
        ({"state": DEGRADED}, ["degraded"]),
        ({"state": STOPPED, "unreadable": True}, ["unreadable"]),
        ({"oldest_live_seconds": 900.0}, []),
        ({"oldest_live_seconds": 901.0}, ["backlog_age"]),
        ({"oldest_live_seconds": 50.0, "backlog_alert_seconds": 49.0}, ["backlog_age"]),
        ({"oldest_live_seconds": 901.0, "state": PAUSED}, []),
        ({"oldest_live_seconds": 901.0, "state": STOPPED}, ["stopped"]),
        ({"oldest_live_seconds": 9_001.0}, ["backlog_age", "run_delayed"]),
        ({"oldest_live_seconds": 5_000.0, "state_seconds": 900.0}, []),
        ({"oldest_live_seconds": 5_000.0, "state_seconds": 901.0}, ["backlog_age"]),
        ({"oldest_live_seconds": 9_001.0, "state_seconds": 5.0}, ["run_delayed"]),
        ({"oldest_live_seconds": 9_001.0, "state": PAUSED}, ["run_delayed"]),
        ({"finished": run(delivered=95, failed=5)}, []),
        ({"finished": run(delivered=94, failed=6)}, ["run_failed"]),
        ({"finished": run(received=5)}, []),
        ({"finished": run(delivered=99, excluded=1)}, []),
        ({"finished": run(delivered=98, excluded=2)}, ["skipped_rate"]),
        ({"current": run(delivered=10, failed=9)}, []),
        ({"current": run(delivered=18, failed=2)}, ["failures_growing"]),
        ({"current": run(delivered=19, failed=1)}, []),
        ({"current": run(delivered=9_000, failed=100)}, []),
        ({"current": run(delivered=9_000, failed=101)}, ["failures_growing"]),
        ({"failures_kept": 80, "failures_most": 100}, []),
        ({"failures_kept": 81, "failures_most": 100}, ["failures_filling_up"]),
        ({"quota": Quota(799, 1_000, 900)}, []),
        ({"quota": Quota(800, 1_000, 900)}, ["quota_80"]),
        ({"quota": Quota(950, 1_000, 990)}, ["quota_95", "quota_80"]),
        ({"secret_days": 149.0}, []),
        ({"secret_days": 150.0}, ["secret_ending"]),
        ({"catalog_seconds": 86_400.0}, []),
        ({"catalog_seconds": 90_000.0, "catalog_failure": "No connection."}, ["catalog_stale"]),
    ],
)
def test_what_a_destination_calls_for(changes, kinds):
    found = destination_alerts(replace(QUIET, **changes))
    assert [alert.kind for alert in found] == kinds
    assert all(alert.destination == "camp" and alert.text.endswith((".", ")")) for alert in found)
    assert all(alert.kind in KINDS for alert in found)


@pytest.mark.parametrize(
    ("failure", "text"),
    [("", "are 25 hours old."), ("No connection.", "are 25 hours old. The last try: No connection.")],
)
def test_definitions_that_grow_old_say_why(failure, text):
    (alert,) = destination_alerts(replace(QUIET, catalog_seconds=90_000.0, catalog_failure=failure))
    assert alert.text == f"The attribute-set definitions {text}"


@pytest.mark.parametrize(
    ("used", "stops", "stands_still"),
    [(999, True, False), (1_000, True, True), (1_001, True, True), (1_000, False, False)],
)
def test_a_quota_that_is_used_up_stands_still_where_nothing_goes_beyond_it(used, stops, stands_still):
    (alert, _) = destination_alerts(replace(QUIET, quota=Quota(used, 1_000, 1_100, stops)))
    assert alert.kind == "quota_95"
    assert ("delivery stands still until the year ends" in alert.text) is stands_still
    assert ("limits.calls_per_year" in alert.remedy and "`activation connect`" in alert.remedy) is stands_still


@pytest.mark.parametrize(
    ("current", "finished", "expected"),
    [
        (None, None, []),
        (run(6, received=1), None, [("run_started", 6)]),
        (run(6, delivered=1), None, []),
        (None, run(5, received=1), []),
        (None, run(5, delivered=100), [("run_succeeded", 5)]),
        (None, run(5, delivered=90, failed=10), []),
        (run(6, received=1), run(5, unchanged=1), [("run_started", 6), ("run_succeeded", 5)]),
    ],
)
def test_what_is_told_of_runs(current, finished, expected):
    found = notices(replace(QUIET, current=current, finished=finished))
    assert [(alert.kind, hour) for alert, hour in found] == expected


def test_of_a_run_that_went_well_what_it_came_to_is_told():
    ((alert, _),) = notices(replace(QUIET, finished=run(5, delivered=1_200, excluded=3)))
    assert alert.text == "The last hour: 1,200 delivered, 3 excluded."


@pytest.mark.parametrize(
    ("delivering", "settled_in", "kinds"), [(0, True, ["no_worker"]), (0, False, []), (1, True, [])]
)
def test_workers_that_deliver(delivering, settled_in, kinds):
    assert [alert.kind for alert in sweep_alerts(delivering=delivering, settled_in=settled_in)] == kinds


@pytest.mark.parametrize(
    ("memory", "kinds"),
    [
        (Memory(10**12, 0), []),
        (Memory(750, 1_000), []),
        (Memory(751, 1_000), ["redis_filling_up"]),
        (Memory(900, 1_000), ["redis_filling_up"]),
        (Memory(901, 1_000), ["redis_full", "redis_filling_up"]),
        (Memory(2_000, 1_000), ["redis_full", "redis_filling_up"]),
    ],
)
def test_the_memory_of_redis(memory, kinds):
    found = storage_alerts(memory)
    assert [alert.kind for alert in found] == kinds
    assert all(alert.remedy for alert in found)
    assert all("90%" in alert.text for alert in found)


@pytest.mark.parametrize(
    ("sweep_seconds", "up_seconds", "maintaining", "text"),
    [
        (59.0, 900.0, 1, ""),
        (61.0, 900.0, 1, "Nothing has been swept for 61 seconds: beat sends nothing."),
        (61.0, 900.0, 0, "Nothing has been swept for 61 seconds: no worker takes the queue maintenance."),
        (28_800.0, 59.0, 1, ""),
        (120.0, 900.0, 1, "Nothing has been swept for 2 minutes: beat sends nothing."),
        (7_199.0, 9_000.0, 1, "Nothing has been swept for 120 minutes: beat sends nothing."),
        (7_200.0, 9_000.0, 1, "Nothing has been swept for 2 hours: beat sends nothing."),
        (172_800.0, 900.0, 1, "Nothing has been swept for 2 days: beat sends nothing."),
        (28_800.0, 60.0, 1, "Nothing has been swept for 8 hours: beat sends nothing."),
        (None, 59.0, 1, ""),
        (None, 60.0, 1, "Nothing has been swept: beat sends nothing."),
    ],
    ids=["swept", "beat is away", "maintenance is away", "begins after a downtime", "minutes", "many minutes", "hours", "days",
         "nobody swept after a downtime", "begins anew", "never swept"],
)  # fmt: skip
def test_sweeps_go_on(sweep_seconds, up_seconds, maintaining, text):
    found = watch_alerts(sweep_seconds=sweep_seconds, up_seconds=up_seconds, maintaining=maintaining)
    assert [(alert.kind, alert.text) for alert in found] == ([("no_beat", text)] if text else [])
    who = "beat" if maintaining else "the maintenance worker"
    assert all(f"Start {who} again" in alert.remedy for alert in found)
    assert all("no other alert is judged" in alert.remedy for alert in found)
