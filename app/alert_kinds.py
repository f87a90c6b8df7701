"""The kinds of alerts: a stable word, how severe it is, and what it means. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of alert. `meaning`: its text in the documentation."""

    severity: Severity
    meaning: str


ALL_KINDS = "all"
NO_SWEEP_SECONDS = 60.0  # without a sweep, until `no_beat`
_I, _W, _C = Severity.INFO, Severity.WARNING, Severity.CRITICAL
KINDS = {
    # Adobe's five for destinations, per run; our hour corresponds to their dataflow run
    "run_started": Kind(_I, "the first profiles of an hour have arrived"),
    "run_succeeded": Kind(_I, "an hour has ended in which at most 5 % of the settled profiles failed"),
    "run_failed": Kind(_W, "more than 5 % of the profiles settled in the last hour failed"),
    "run_delayed": Kind(_W, "a live profile has waited for more than 150 minutes"),
    "skipped_rate": Kind(_W, "more than 1 % of the profiles settled in the last hour were excluded"),
    # ours
    "stopped": Kind(_C, "nothing is delivered to a destination until someone fixes what is wrong"),
    "unreadable": Kind(
        _C,
        "no key opens a destination, or this build does not understand it; nothing is delivered to it until someone fixes that",
    ),
    "degraded": Kind(_W, "the account of a destination does not answer; delivery goes on by itself once it does"),
    "backlog_age": Kind(_W, "a live profile has waited for longer than ACTIVATION_BACKLOG_ALERT_SECONDS"),
    "failures_growing": Kind(_W, "more than 100 profiles failed in this hour, or more than 5 % of at least 20"),
    "failures_filling_up": Kind(_W, "80 % of the room for failed profiles is used"),
    "failures_dropped": Kind(_C, "failed profiles were dropped because of their age or their number"),
    "quota_80": Kind(_W, "80 % of the year's calls are used"),
    "quota_95": Kind(_C, "95 % of the year's calls are used"),
    "secret_ending": Kind(_W, "the client secret was connected 150 days ago; it ends 180 days after it was made"),
    "catalog_stale": Kind(_W, "the attribute-set definitions could not be fetched for a day"),
    "no_worker": Kind(_C, "no worker takes deliveries"),
    "no_beat": Kind(_C, "nothing was swept for a minute: beat or the maintenance worker is not running"),
    "redis_full": Kind(_C, "more than 90 % of Redis' maxmemory is used, and no profile is accepted any more"),
    "redis_filling_up": Kind(_W, "more than 75 % of Redis' maxmemory is used"),
    "message_refused": Kind(_W, "a message from a sender could not be read"),
    "intake_refused": Kind(_W, "the HTTP intake turned senders away"),
}


_OF_ANOTHER_BUILD = Kind(_W, "another build opened it, and this one does not know what it means")


def kind_of(name: str) -> Kind:
    """Return a kind by name; one that another build has introduced counts as a warning."""
    return KINDS.get(name, _OF_ANOTHER_BUILD)


def is_wanted(kind: str, kinds: tuple[str, ...]) -> bool:
    """Return whether a channel with these kinds wants `kind`: `all` for every kind, none for warnings and worse."""
    return kind in kinds or ALL_KINDS in kinds or (not kinds and kind_of(kind).severity is not Severity.INFO)
