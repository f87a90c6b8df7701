"""Which states are worth an alert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.reporting.alerts import Alert, raise_alert
from app.reporting.quota import read_quota
from app.reporting.runs import read_runs

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.destinations.state import State
    from app.resources import Resources

QUOTA_WARNINGS = (0.95, 0.80)
EXCLUDED_SHARE_ALERT = 0.01  # of a finished hour, as AEP's "Activation Skipped Rate Exceeded"


def raise_alerts(resources: Resources, destination: Destination, state: State) -> None:
    """Raise what the state, the quota and the last finished hour call for."""
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
    finished = [
        run
        for run in read_runs(resources.redis, destination.id, hours=2)
        if run.hour < resources.clock.now_ms() // 3_600_000
    ]
    for run in finished:
        settled = sum(run.outcomes.values())
        if settled and run.outcomes["excluded"] / settled > EXCLUDED_SHARE_ALERT:
            alert(
                "excluded_share",
                f"{run.outcomes['excluded']:,} of {settled:,} profiles of the last hour were excluded.",
                f"`activation runs {destination.id} --details` names the reasons.",
            )
