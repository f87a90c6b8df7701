"""Alerts: kept in Redis, logged, and posted to ACTIVATION_ALERT_URL; the same one at most once an hour."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson
import requests

from app.keys import ALERTS, alert_raised
from app.lua import write

if TYPE_CHECKING:
    from redis import Redis

KEPT = 1_000
QUIET_SECONDS = 3_600
POST_TIMEOUT_SECONDS = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alert:
    """`kind` is a stable word for programs; the texts carry no profile data."""

    kind: str
    destination: str
    text: str
    remedy: str = ""


def raise_alert(redis: Redis, alert: Alert, *, alert_url: str) -> bool:
    """Raise it unless it was raised within the hour. A channel that does not answer is logged and stops nothing."""
    raised = alert_raised(alert.kind, alert.destination)
    if redis.exists(raised):
        return False
    write(redis, ("SET", raised, "1", "EX", QUIET_SECONDS), keys=[raised])
    write(redis, ("XADD", ALERTS, "MAXLEN", "~", KEPT, "*", "alert", orjson.dumps(asdict(alert))), keys=[ALERTS])
    log.error("ALERT %s %s: %s %s", alert.kind, alert.destination, alert.text, alert.remedy)
    if alert_url:
        try:
            requests.post(alert_url, json=asdict(alert), timeout=POST_TIMEOUT_SECONDS).raise_for_status()
        except requests.RequestException as error:
            log.warning("The alert channel did not take the alert: %s.", type(error).__name__)
    return True


def read_alerts(redis: Redis, *, most: int = 100) -> list[tuple[int, Alert]]:
    """The newest alerts with their time in epoch ms, newest first."""
    entries: Any = redis.xrevrange(ALERTS, count=most)
    return [(int(entry_id.split(b"-")[0]), Alert(**orjson.loads(fields[b"alert"]))) for entry_id, fields in entries]
