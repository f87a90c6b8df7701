"""Every destination at a glance, and one of them in detail."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.access.roles import Role
from app.console.visit import page
from app.destinations import operating
from app.destinations.state import UNREADABLE, Status
from app.errors import UsageError
from app.mapping.update import Reason
from app.moments import hour_of
from app.reporting.alerts import read_open
from app.reporting.burn_up import read_burn_up
from app.reporting.destinations import Glance, glance, glances
from app.reporting.losses import find_losses
from app.reporting.quota import MORE_CALLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.responses import Response

    from app.console.visit import Visit
    from app.destinations.model import Segment
    from app.reporting.alerts import Alert
    from app.reporting.runs import Run

_STATES = {UNREADABLE, *Status}  # kinds of alerts that are named like states
SPANS = {"24": (24, 1), "168": (168, 24), "720": (720, 24)}  # name -> (hours shown, hours per column)


@page()
def overview(visit: Visit) -> Response:
    found = glances(visit.resources)
    accounts = {
        item.destination.account.key: (item.destination.account.subdomain, item.destination.limits.calls_per_year)
        for item in found
        if item.destination is not None
    }
    burns = [
        (name, read_burn_up(visit.resources.redis, key, calls_per_year=allowed))
        for key, (name, allowed) in sorted(accounts.items())
    ]
    return visit.page(
        "overview.html",
        found=found,
        burns=burns,
        now_hour=hour_of(visit.resources.clock.now_ms()),
        more_calls=MORE_CALLS,
        alerts=_alerts(visit, ""),
        open_alerts=len(read_open(visit.resources.redis)),
    )


@page()
def destination(visit: Visit) -> Response:
    visit.resources.destinations.about(visit.destination_id)
    span = visit.text("hours") if visit.text("hours") in SPANS else "24"
    hours, unit = SPANS[span]
    now_ms = visit.resources.clock.now_ms()
    now_hour = hour_of(now_ms)
    first = (now_hour // unit - hours // unit + 1) * unit
    found = glance(visit.resources, visit.destination_id, hours=now_hour - first + 1)
    return visit.page(
        "destination.html",
        item=found,
        span=span,
        spans=SPANS,
        first=first,
        count=hours // unit,
        unit=unit,
        now_hour=now_hour,
        totals=_totals(found.runs),
        segments=_segments(found),
        reasons=_reasons(found.runs),
        today=datetime.fromtimestamp(now_ms / 1000, UTC).date(),
        more_calls=MORE_CALLS,
        alerts=_alerts(visit, visit.destination_id),
        fields=None if found.destination is None else visit.resources.catalogs.get(visit.destination_id),
    )


def _alerts(visit: Visit, destination: str) -> list[Alert]:
    """Return the open alerts of a destination ('': the installation), except those about its state, which the page shows itself."""
    found = [one.alert for one in read_open(visit.resources.redis).values()]
    return [alert for alert in found if alert.destination == destination and alert.kind not in _STATES]


def _totals(runs: Iterable[Run]) -> Counter[str]:
    found: Counter[str] = Counter()
    for run in runs:
        found.update(run.outcomes)
        found["received"] += run.received
        found["calls"] += run.calls
        found["retried"] += run.retried
    return found


def _segments(item: Glance) -> list[tuple[str, Segment | None, dict[str, int]]]:
    """Return name, segment and counts by status for each one, including those without any, and those gone from the file."""
    counts: dict[str, Counter[str]] = {}
    for run in item.runs:
        for segment, statuses in run.segments.items():
            counts.setdefault(segment, Counter()).update(statuses)
    known = {} if item.destination is None else {one.id: one for one in item.destination.segments}
    return [
        (known[name].name or name if name in known else name, known.get(name), dict(counts.get(name, {})))
        for name in dict.fromkeys([*known, *sorted(counts)])
    ]


def _reasons(runs: Iterable[Run]) -> list[tuple[str, str, str, int]]:
    """Return code, place or reason, remedy and count, the most frequent first."""
    found: Counter[str] = Counter()
    for run in runs:
        found.update(run.reasons)
    return [
        (code, where, _remedy(code), count)
        for reason, count in found.most_common(100)
        for code, _, where in (reason.partition("|"),)
    ]


def _remedy(code: str) -> str:
    return Reason(code).remedy if code in set(Reason) else "Open the failures, fix what they name, and replay them."


@page(role=Role.ACTIVATE)
def act(visit: Visit) -> Response:
    """Pause, resume, or fetch the fields again."""
    name, back = visit.destination_id, f"/destinations/{visit.destination_id}"
    match visit.request.path_params["act"]:
        case "pause":
            operating.pause(visit.resources, name)
            visit.note("pause", name)
            return visit.go(back, f"{name} is paused. Profiles are still accepted, and wait.")
        case "resume":
            state = operating.resume(visit.resources, name)
            visit.note("resume", name)
            probing = " One call goes ahead; delivery goes on when it succeeds." if state.on_probation else ""
            return visit.go(back, f"{name} is {state.status}.{probing}")
        case "refresh":
            found = operating.refresh_fields(visit.resources, name)
            visit.note("refresh fields", name)
            return visit.go(back, f"{len(found.selectable())} fields were fetched.")
    raise UsageError("There is no such action.")


@page(role=Role.MANAGE)
def disconnect(visit: Visit) -> Response:
    """Show what would be lost; disconnect once the id is typed."""
    name = visit.destination_id
    lost = find_losses(visit.resources, name)
    posted = visit.request.method == "POST"
    if not posted or visit.text("id") != name:
        return visit.page("disconnect.html", status=422 if posted else 200, name=name, lost=lost, wrong=posted)
    visit.resources.destinations.remove(name)
    visit.note("disconnect", name, str(lost))
    return visit.go("/", f"{name} is disconnected.")
