"""What is looked after every few seconds: lanes that sleep on work, bounds of what is kept, and alerts.

A sweep is safe to run at any time and by several beats at once; a short guard in Redis keeps them from doing the same twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from app.destinations import catalogs
from app.destinations.state import State, Status, now_ms
from app.errors import ActivationError, CallError, UnknownDestination
from app.keys import LANES, SWEEP, DestinationKeys
from app.lanes.delivered import age_days
from app.lanes.lane import rouse
from app.reporting.alerts import Alert, raise_alert
from app.reporting.quota import read_quota
from app.reporting.runs import read_runs

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.producer import Producer
    from app.resources import Resources

DAY_MS = 86_400_000
QUOTA_WARNINGS = (0.95, 0.80)
EXCLUDED_SHARE_ALERT = 0.01  # of a finished hour, as AEP's "Activation Skipped Rate Exceeded"
ROWS_AT_ONCE = 500

log = logging.getLogger(__name__)


def sweep(resources: Resources, producer: Producer) -> int:
    """Look after every destination; returns how many lanes were woken."""
    settings = resources.settings
    guard_ms = int(settings.sweep_seconds * 500)
    if guard_ms and not resources.redis.set(SWEEP, "1", nx=True, px=guard_ms):
        return 0
    woken = 0
    for destination_id in resources.destinations.ids():
        try:
            destination = resources.destinations.get(destination_id)
            state = resources.states.get(destination_id)
            if may_wake(state, now_ms()):
                lanes = rouse(
                    resources.redis, destination_id, range(LANES), wake_mark_seconds=settings.wake_mark_seconds
                )
                producer.wake(destination_id, lanes)
                woken += len(lanes)
            _bound_failures(resources, destination_id)
            _forget_old_rows(resources, destination_id)
            _raise_alerts(resources, destination, state)
        except UnknownDestination:
            continue  # disconnected since
        except ActivationError as error:
            log.error("Sweeping %s: %s %s", destination_id, error, error.remedy)  # noqa: TRY400  # the text says it all
    return woken


def may_wake(state: State, now: int) -> bool:
    """Paused lanes sleep; those on probation wake when the next probe is due."""
    return state.status is not Status.PAUSED and (not state.on_probation or state.wait_seconds(now) == 0)


def refresh_catalog(resources: Resources, destination_id: str) -> None:
    """Fetch the definitions anew. On failure the old ones stay, with a note of why."""
    try:
        destination = resources.destinations.get(destination_id)
    except UnknownDestination:
        return
    if resources.states.get(destination_id).status is not Status.ENABLED:
        return
    client = resources.client(destination)
    try:
        catalogs.refresh(destination, client, resources.catalogs, now_ms())
    except CallError as error:
        log.warning("The definitions of %s stay as they were: %s", destination_id, error)
    finally:
        client.close()


def _bound_failures(resources: Resources, destination_id: str) -> None:
    """Drop the oldest failures beyond age and count; the alert comes first."""
    settings = resources.settings
    store = resources.failures(destination_id)
    beyond = store.beyond(most=settings.failures_kept, older_than_ms=now_ms() - settings.failures_kept_days * DAY_MS)
    if beyond:
        raise_alert(
            resources.redis,
            Alert(
                "failures_dropped",
                destination_id,
                f"{len(beyond)} failed profiles are dropped: kept are at most {settings.failures_kept}, "
                f"for {settings.failures_kept_days} days.",
                f"Replay or export them in time: `activation failures {destination_id}`.",
            ),
            alert_url=settings.alert_url,
        )
        store.remove(beyond)
    elif len(store) > settings.failures_kept * 0.8:
        raise_alert(
            resources.redis,
            Alert(
                "failures_filling_up",
                destination_id,
                f"{len(store)} failed profiles are kept, of at most {settings.failures_kept}; then the oldest are dropped.",
                f"`activation failures {destination_id}` shows why; mend it and `--replay`.",
            ),
            alert_url=settings.alert_url,
        )


def _forget_old_rows(resources: Resources, destination_id: str) -> None:
    """Drop delivered rows past their life, a few at each sweep; the place is kept beside the lane's rows."""
    lane = now_ms() // 1000 % LANES
    key = DestinationKeys(destination_id).lane(lane).delivered
    place = f"{key}:place"
    found: Any = resources.redis.hscan(key, cursor=int(resources.redis.get(place) or 0), count=ROWS_AT_ONCE)
    cursor, rows = found
    old = [tag for tag, row in rows.items() if age_days(row, now_ms()) > resources.settings.delivered_life_days]
    if old:
        resources.redis.hdel(key, *old)
    resources.redis.set(place, cursor, ex=DAY_MS // 1000)


def _raise_alerts(resources: Resources, destination: Destination, state: State) -> None:
    url = resources.settings.alert_url

    def alert(kind: str, text: str, remedy: str) -> None:
        raise_alert(resources.redis, Alert(kind, destination.id, text, remedy), alert_url=url)

    if state.on_probation:
        alert(str(state.status), state.text, state.remedy)
    quota: Any = read_quota(resources.redis, destination.account.key, calls_per_year=destination.limits.calls_per_year)
    for share in QUOTA_WARNINGS:
        if quota.share >= share:
            alert(
                f"quota_{share:.0%}",
                f"{quota.used:,} of {quota.allowed:,} calls of this year are used ({quota.share:.0%}); "
                f"at the present rate it will be {quota.forecast:,}.",
                "Ask Salesforce for more, or send less: fewer attributes that change often, fewer destinations.",
            )
            break
    finished = [run for run in read_runs(resources.redis, destination.id, hours=2) if run.hour < now_ms() // 3_600_000]
    for run in finished:
        settled = sum(run.outcomes.values())
        if settled and run.outcomes["excluded"] / settled > EXCLUDED_SHARE_ALERT:
            alert(
                "excluded_share",
                f"{run.outcomes['excluded']:,} of {settled:,} profiles of the last hour were excluded.",
                f"`activation runs {destination.id} --details` names the reasons.",
            )
