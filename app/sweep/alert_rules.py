"""Decides which states are worth an alert. Pure: facts in, alerts out; `app.sweep.alerts` gathers the facts."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from app.alert_kinds import NO_SWEEP_SECONDS
from app.destinations.state import UNREADABLE, State, Status
from app.memory import RESERVE
from app.reporting.alerts import Alert
from app.reporting.quota import MORE_CALLS

if TYPE_CHECKING:
    from app.memory import Memory
    from app.reporting.quota import Quota
    from app.reporting.runs import Run

EXCLUDED_SHARE = 0.01  # of an hour, like Adobe's "Activation Skipped Rate Exceeded"
FAILED_SHARE = 0.05
DELAYED_SECONDS = 150 * 60  # like Adobe's "Flow Run Delay"
GROWING_FAILURES = 100
ENOUGH_TO_JUDGE = 20
FILLING_SHARE = 0.8
SECRET_WARNING_DAYS = 150
SECRET_LIFE_DAYS = 180
STALE_CATALOG_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class DestinationFacts:
    """What is known of one destination. Ages are in seconds; None if there is nothing to have an age.

    `unreadable`: no key opens it; `state` then says so in words. `current`, `finished`: the runs of this hour and of the
      previous one; None if nothing happened in it.
    """

    id: str
    state: State
    quota: Quota
    unreadable: bool = False
    state_seconds: float | None = None
    oldest_live_seconds: float | None = None
    current: Run | None = None
    finished: Run | None = None
    failures_kept: int = 0
    failures_most: int = 100_000
    secret_days: float | None = None
    catalog_seconds: float | None = None
    catalog_failure: str = ""
    backlog_alert_seconds: float = 900.0


def destination_alerts(facts: DestinationFacts) -> list[Alert]:
    """Return all alerts that one destination calls for now."""
    return [*_standing(facts), *_waiting(facts), *_running(facts), *_keeping(facts), *_ending(facts)]


def _standing(facts: DestinationFacts) -> list[Alert]:
    state = facts.state
    if not state.on_probation:
        return []
    kind = UNREADABLE if facts.unreadable else str(state.status)
    return [Alert(kind, facts.id, f"{state.text} ({state.code})", state.remedy)]


def _waiting(facts: DestinationFacts) -> list[Alert]:
    age = facts.oldest_live_seconds or 0.0
    found = []
    # what waited while delivery was impossible is on its way now
    delivered_for = inf if facts.state_seconds is None else facts.state_seconds
    if min(age, delivered_for) > facts.backlog_alert_seconds and facts.state.status is Status.ENABLED:
        found.append(
            Alert(
                "backlog_age",
                facts.id,
                f"The oldest live profile has waited for {_span(age)}.",
                f"`activation runs {facts.id}` shows whether calls are made; docs/operations.md tells what bounds them.",
            )
        )
    if age > DELAYED_SECONDS:
        found.append(
            Alert(
                "run_delayed",
                facts.id,
                f"A live profile has waited for {_span(age)} and is not settled.",
                f"`activation destinations` tells what holds {facts.id} up.",
            )
        )
    return found


def _running(facts: DestinationFacts) -> list[Alert]:
    found = []
    run = facts.finished
    if run is not None and _failed(run):
        found.append(
            Alert(
                "run_failed",
                facts.id,
                f"{run.outcomes['failed']:,} of {_settled(run):,} profiles of the last hour failed.",
                f"`activation failures {facts.id}` tells why; fix it and `--replay`.",
            )
        )
    if run is not None and _settled(run) and run.outcomes["excluded"] / _settled(run) > EXCLUDED_SHARE:
        found.append(
            Alert(
                "skipped_rate",
                facts.id,
                f"{run.outcomes['excluded']:,} of {_settled(run):,} profiles of the last hour were excluded.",
                f"`activation runs {facts.id} --details` names the reasons.",
            )
        )
    now = facts.current
    if now is not None:
        failed, settled = now.outcomes["failed"], _settled(now)
        if failed > GROWING_FAILURES or (settled >= ENOUGH_TO_JUDGE and failed / settled > FAILED_SHARE):
            found.append(
                Alert(
                    "failures_growing",
                    facts.id,
                    f"{failed:,} of {settled:,} profiles of this hour have failed so far.",
                    f"`activation failures {facts.id}` tells why.",
                )
            )
    return found


def _keeping(facts: DestinationFacts) -> list[Alert]:
    if facts.failures_kept <= facts.failures_most * FILLING_SHARE:
        return []
    return [
        Alert(
            "failures_filling_up",
            facts.id,
            f"{facts.failures_kept:,} failed profiles are kept, of at most {facts.failures_most:,}; then the oldest are dropped.",
            f"`activation failures {facts.id}` shows why; fix it and `--replay`.",
        )
    ]


def _ending(facts: DestinationFacts) -> list[Alert]:
    quota = facts.quota
    used = (
        f"{quota.used:,} of {quota.allowed:,} calls of this year are used ({quota.share:.0%}); "
        f"at the present rate it will be {quota.forecast:,}."
    )
    more = "Ask Salesforce for more, or send less: fewer attributes that change often, fewer destinations."
    found = []
    if quota.share >= 0.95:
        still = quota.standstill
        found.append(Alert("quota_95", facts.id, still or used, MORE_CALLS if still else more))
    if quota.share >= 0.8:
        found.append(Alert("quota_80", facts.id, used, more))
    if facts.secret_days is not None and facts.secret_days >= SECRET_WARNING_DAYS:
        found.append(
            Alert(
                "secret_ending",
                facts.id,
                f"The client secret was connected {facts.secret_days:.0f} days ago; it ends {SECRET_LIFE_DAYS} days after it "
                "was made.",
                "Make a staged secret in the installed package, connect the file with it, then activate it (docs/operations.md).",
            )
        )
    if facts.catalog_seconds is not None and facts.catalog_seconds > STALE_CATALOG_SECONDS:
        why = f" The last try: {facts.catalog_failure}" if facts.catalog_failure else ""
        found.append(
            Alert(
                "catalog_stale",
                facts.id,
                f"The attribute-set definitions are {_span(facts.catalog_seconds)} old.{why}",
                f"`activation fields {facts.id} --refresh` fetches them and says what is wrong.",
            )
        )
    return found


def notices(facts: DestinationFacts) -> list[tuple[Alert, int]]:
    """Return notices, which have no end (a run began, a run went well), each with the hour of the run."""
    found = []
    if facts.current is not None and facts.current.received:
        text = "The first profiles of this hour have come."
        found.append((Alert("run_started", facts.id, text), facts.current.hour))
    run = facts.finished
    if run is not None and _settled(run) and not _failed(run):
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in run.outcomes.items() if count)
        found.append((Alert("run_succeeded", facts.id, f"The last hour: {counts}."), run.hour))
    return found


def sweep_alerts(*, delivering: int, settled_in: bool) -> list[Alert]:
    """Return what a sweep sees of the installation.

    `delivering`: how many workers take deliveries. `settled_in`: the sweeping process has run long enough to tell.
    """
    if delivering or not settled_in:
        return []
    return [
        Alert(
            "no_worker",
            "",
            "No worker that takes deliveries is alive.",
            "Start one: `activation up`, or `docker compose up --detach worker`. `activation doctor` tells more.",
        )
    ]


def storage_alerts(memory: Memory) -> list[Alert]:
    """Return what the memory of Redis calls for."""
    remedy = (
        "Give Redis more memory (`redis-cli config set maxmemory` at once, its configuration file for good), or let the backlog "
        "drain: `activation destinations` shows what waits."
    )
    found = []
    if memory.is_full:
        text = f"Redis is full: {memory} are used, and no profile is taken beyond {1 - RESERVE:.0%}; deliveries go on."
        found.append(Alert("redis_full", "", text, remedy))
    if memory.is_filling_up:  # also when full, or the end of this alert would be announced
        text = f"Redis fills up: {memory} are used; at {1 - RESERVE:.0%} no profile is taken any more."
        found.append(Alert("redis_filling_up", "", text, remedy))
    return found


def watch_alerts(*, sweep_seconds: float | None, up_seconds: float, maintaining: int) -> list[Alert]:
    """Return what a worker sees of the sweeps.

    `sweep_seconds`: age of the last sweep, None if there never was one. `up_seconds`: how long the worker has been up.
      `maintaining`: how many workers take maintenance.
    """
    seen_seconds = min(
        inf if sweep_seconds is None else sweep_seconds, up_seconds
    )  # after a downtime a sweep may be on its way
    if seen_seconds < NO_SWEEP_SECONDS:
        return []
    who = "beat sends nothing" if maintaining else "no worker takes the queue maintenance"
    how_long = "" if sweep_seconds is None else f" for {_span(sweep_seconds)}"
    return [
        Alert(
            "no_beat",
            "",
            f"Nothing has been swept{how_long}: {who}.",
            f"Start {'beat' if maintaining else 'the maintenance worker'} again; until then sleeping lanes are not woken "
            "and no other alert is judged.",
        )
    ]


def _settled(run: Run) -> int:
    return sum(run.outcomes.values())


def _failed(run: Run) -> bool:
    return bool(_settled(run)) and run.outcomes["failed"] / _settled(run) > FAILED_SHARE


def _span(seconds: float) -> str:
    """Write a length of time for people."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
