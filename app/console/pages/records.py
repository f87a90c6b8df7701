"""Jobs, alerts, and the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from app.access.roles import Role
from app.alert_kinds import KINDS
from app.console.visit import page
from app.errors import UsageError
from app.intake.counts import SourceCounts, read_counts
from app.intake.sources import SourceStore
from app.moments import HOUR_MS
from app.reporting.alerts import Mute, mute, read_alerts, unmute
from app.reporting.audit import read_acts
from app.reporting.jobs import read_job, read_jobs

if TYPE_CHECKING:
    from starlette.responses import Response

    from app.console.visit import Visit


JOBS_SHOWN = 100


@page()
def jobs(visit: Visit) -> Response:
    """Show the newest jobs, or redirect to a job whose id was typed."""
    if name := visit.text("job"):
        return visit.go(f"/jobs/{quote(name, safe='')}")
    redis = visit.resources.redis
    store = SourceStore(redis, visit.resources.ring)
    known, locked = store.all()
    counted = read_counts(redis).sources
    return visit.page(
        "jobs.html",
        jobs=read_jobs(redis, limit=JOBS_SHOWN),
        locked=locked,
        sources=[(one, counted.get(one.name, SourceCounts())) for one in known],
    )


@page()
def job(visit: Visit) -> Response:
    name = str(visit.request.path_params["job"])
    return visit.page("job.html", job=read_job(visit.resources.redis, name))


LENGTHS = {"1": "for an hour", "24": "for a day", "168": "for a week", "0": "for good"}


@page()
def alerts(visit: Visit) -> Response:
    """Show what is open, what happened, and what is muted."""
    return visit.page("alerts.html", found=read_alerts(visit.resources.redis), lengths=LENGTHS)


@page(role=Role.ACTIVATE)
def mute_alert(visit: Visit) -> Response:
    """Stop telling an alert's channels for a while; it still opens and closes."""
    kind, destination, hours = visit.text("kind"), visit.text("destination"), visit.text("hours")
    if kind not in KINDS or hours not in LENGTHS:
        raise UsageError("There is no such alert.")
    until_ms = visit.resources.clock.now_ms() + int(hours) * HOUR_MS if hours != "0" else 0
    mute(visit.resources.redis, Mute(kind, destination, until_ms))
    visit.note("mute alert", destination, f"{kind} {LENGTHS[hours]}")
    return visit.go("/alerts", f"{kind} is muted {LENGTHS[hours]}.")


@page(role=Role.ACTIVATE)
def unmute_alert(visit: Visit) -> Response:
    kind, destination = visit.text("kind"), visit.text("destination")
    if unmute(visit.resources.redis, kind, destination):
        visit.note("unmute alert", destination, kind)
    return visit.go("/alerts", f"{kind} is muted no more.")


@page(role=Role.MANAGE)
def audit(visit: Visit) -> Response:
    return visit.page("audit.html", acts=read_acts(visit.resources.redis, visit.resources.ring))
