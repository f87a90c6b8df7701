"""Opens, repeats and closes alerts: compares what the rules call for with what is open."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from app.alert_kinds import NO_SWEEP_SECONDS
from app.errors import SealBroken, UnknownDestination
from app.intake.counts import read_counts
from app.lanes.failures import count_failures
from app.moments import DAY_MS, hour_of
from app.queues import DELIVERY_QUEUE, MAINTENANCE_QUEUE
from app.reporting.alerts import (
    Alert,
    AlertEvent,
    Change,
    OpenAlert,
    What,
    apply_change,
    changes,
    note_count,
    note_run,
    read_mutes,
    read_open,
    read_signals,
)
from app.reporting.outbox import messages_for
from app.reporting.processes import read_processes, read_sweep_age_seconds
from app.reporting.quota import read_quota
from app.reporting.room import read_memory
from app.reporting.runs import read_runs
from app.reporting.waiting import oldest_waiting_age_seconds
from app.sweep.alert_rules import (
    DestinationFacts,
    destination_alerts,
    notices,
    storage_alerts,
    sweep_alerts,
    watch_alerts,
)

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Destination
    from app.destinations.state import State
    from app.resources import Resources

WATCHED = ("no_beat",)  # judged by the workers; all others by the sweep
SETTLED_IN_SECONDS = 60.0
HTTP_REFUSED = 400

log = logging.getLogger(__name__)


class Judgement:
    """One round of judging: gathers alerts destination by destination, then compares them with those that are open."""

    def __init__(self, resources: Resources) -> None:
        self._r = resources
        self._now_ms = resources.clock.now_ms()
        self._mutes = read_mutes(resources.redis, now_ms=self._now_ms)
        self._found: list[Alert] = []
        self._looked_at: set[str] = set()

    def look_at(self, destination_id: str, state: State, *, unreadable: bool = False) -> None:
        """Judge one destination by its rules, and report its runs. Needs no key; `unreadable` says that none opens it.

        Raises: `UnknownDestination`.
        """
        facts = gather(self._r, destination_id, state, now_ms=self._now_ms, unreadable=unreadable)
        self._found += destination_alerts(facts)
        self._looked_at.add(destination_id)
        for alert, hour in notices(facts):
            event = AlertEvent(What.NOTED, self._now_ms, alert, self._now_ms)
            told = not self._muted(alert)
            messages = messages_for(event, self._r, self._destination(destination_id)) if told else []
            note_run(self._r.redis, alert, hour, messages)

    def conclude(self, connected: Sequence[str], *, up_seconds: float) -> None:
        """Judge the installation and carry out all changes. A destination that could not be examined keeps its alerts."""
        redis = self._r.redis
        alive = [process for process in read_processes(redis) if process.is_alive(self._now_ms)]
        delivering = sum(DELIVERY_QUEUE in process.queues for process in alive)
        settled_in = self._settled_seconds(up_seconds) > SETTLED_IN_SECONDS
        self._found += sweep_alerts(delivering=delivering, settled_in=settled_in)
        unjudged = WATCHED if delivering or settled_in else (*WATCHED, "no_worker")
        self._found += storage_alerts(read_memory(redis))
        note_count(redis, *_turned_away(redis), now_ms=self._now_ms)
        signals = read_signals(redis, now_ms=self._now_ms)
        self._found += [alert for alert in signals if not alert.destination or alert.destination in connected]
        known = read_open(redis)
        judged = [
            field
            for field, item in known.items()
            if item.alert.kind not in unjudged
            and (
                not item.alert.destination
                or item.alert.destination in self._looked_at
                or item.alert.destination not in connected
            )
        ]
        self._carry_out(known, self._found, judged)

    def watch(self, *, up_seconds: float) -> bool:
        """Judge what the workers watch, since the sweep itself may have ended.

        Returns whether it has, as far as a process can tell that has been up for `up_seconds`.
        """
        redis = self._r.redis
        alive = [process for process in read_processes(redis) if process.is_alive(self._now_ms)]
        sweep_seconds = read_sweep_age_seconds(redis, now_ms=self._now_ms)
        found = watch_alerts(
            sweep_seconds=sweep_seconds,
            up_seconds=self._settled_seconds(up_seconds),
            maintaining=sum(MAINTENANCE_QUEUE in process.queues for process in alive),
        )
        known = read_open(redis)
        sweeps = sweep_seconds is not None and sweep_seconds < NO_SWEEP_SECONDS
        if not found and not sweeps:
            return False  # not up long enough to tell, or Redis was away: alerts opened by others stay
        judged = [field for field, item in known.items() if item.alert.kind in WATCHED]
        self._carry_out(known, found, judged)
        return bool(found)

    def _settled_seconds(self, up_seconds: float) -> float:
        """Return for how long others could have reported being alive, as far as this process can tell."""
        return min(up_seconds, self._r.signs.unbroken_seconds(time.monotonic()))

    def _muted(self, alert: Alert) -> bool:
        return any(mute.covers(alert, self._now_ms) for mute in self._mutes)

    def _carry_out(self, known_alerts: Mapping[str, OpenAlert], found: Iterable[Alert], judged: Iterable[str]) -> None:
        repeat_ms = int(self._r.settings.alert_repeat_seconds * 1000)
        for change in changes(
            known_alerts, found, judged=judged, now_ms=self._now_ms, repeat_ms=repeat_ms, muted=self._muted
        ):
            alert, muted, messages = change.alert, self._muted(change.alert), list[bytes]()
            if change.event is not None and not muted:
                known = change.before or change.after
                assert known is not None
                event = AlertEvent(change.event, self._now_ms, alert, known.opened_ms)
                messages = messages_for(event, self._r, self._destination(alert.destination))
            if apply_change(self._r.redis, change, now_ms=self._now_ms, muted=muted, messages=messages):
                _log(change)

    def _destination(self, destination_id: str) -> Destination | None:
        try:
            return self._r.destinations.get(destination_id) if destination_id else None
        except (UnknownDestination, SealBroken):
            return None


def gather(resources: Resources, name: str, state: State, *, now_ms: int, unreadable: bool = False) -> DestinationFacts:
    """Return the facts that the rules need, from what is stored about a destination without a key.

    Raises: `UnknownDestination`.
    """
    redis, settings = resources.redis, resources.settings
    about = resources.destinations.about(name)
    hour = hour_of(now_ms)
    runs = {run.hour: run for run in read_runs(redis, name, hours=2)}
    since_ms = resources.destinations.secret_since_ms(name)
    catalog = resources.catalogs.get(name)
    failure = resources.catalogs.last_failure(name)
    return DestinationFacts(
        id=name,
        state=state,
        unreadable=unreadable,
        quota=read_quota(redis, about.account, calls_per_year=about.calls_per_year, stops=about.stop_at_yearly_quota),
        state_seconds=None if not state.since_ms else (now_ms - state.since_ms) / 1000,
        oldest_live_seconds=oldest_waiting_age_seconds(redis, name).live,
        current=runs.get(hour),
        finished=runs.get(hour - 1),
        failures_kept=count_failures(redis, name),
        failures_most=settings.failures_kept,
        secret_days=None if since_ms is None else (now_ms - since_ms) / DAY_MS,
        catalog_seconds=None if catalog is None or failure is None else (now_ms - catalog.fetched_at_ms) / 1000,
        catalog_failure="" if failure is None else failure.text,
        backlog_alert_seconds=settings.backlog_alert_seconds,
    )


def _turned_away(redis: Redis) -> tuple[Alert, int]:
    """Return the alert that the HTTP intake refused more requests, and how many it has refused so far."""
    counted = read_counts(redis).sources.values()
    refused = sum(count for source in counted for status, count in source.answers.items() if status >= HTTP_REFUSED)
    text = "The HTTP intake turned senders away: what such a request held was not taken."
    remedy = (
        "`activation source list` tells of whom and how often; the intake's own metric activation_intake_requests_total also with "
        "what status (`-` is a sender that is not known)."
    )
    return Alert("intake_refused", "", text, remedy), refused


def _log(change: Change) -> None:
    alert = change.alert
    match change.event:
        case What.CLOSED:
            log.info("Alert closed: %s %s", alert.kind, alert.destination)
        case What.OPENED | What.REPEATED:
            log.error("ALERT %s %s: %s %s", alert.kind, alert.destination, alert.text, alert.remedy)
