"""Metrics for Prometheus, read from Redis at each scrape, so they hold for the whole installation whichever process is asked."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from app.destinations.model import Limits
from app.destinations.state import UNREADABLE, StateStore, Status
from app.destinations.store import About, Directory
from app.errors import UnknownDestination
from app.keys import REFUSED_COUNT, AccountKeys
from app.lanes import counters
from app.lanes.failures import count_failures
from app.pacing.shown import read_pace
from app.reporting.alerts import Alert, OpenAlert, read_open
from app.reporting.histograms import Timed, read_histogram
from app.reporting.metric_names import METRICS
from app.reporting.processes import read_processes, read_sweep_age_seconds
from app.reporting.quota import read_quota
from app.reporting.room import read_memory
from app.reporting.runs import OUTCOMES, read_backlog
from app.reporting.totals import read_totals
from app.reporting.waiting import oldest_waiting_age_seconds
from app.version import installed_version

if TYPE_CHECKING:
    from redis import Redis

    from app.settings import Settings

_KINDS = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
_TIMED = {
    Timed.CALL: "activation_call_seconds",
    Timed.ACCEPTANCE: "activation_acceptance_seconds",
    Timed.ENQUEUE: "activation_enqueue_seconds",
}
_THROTTLED = f"{counters.ANSWER}throttled_"


class PipelineCollector(Collector):
    """Reads everything at each scrape. Needs no sealing key, and only permission to read."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._destinations = Directory(redis)
        self._states = StateStore(redis, settings)

    def describe(self) -> Iterable[Metric]:
        return ()  # called at registration, when Redis may be away

    def collect(self) -> Iterable[Metric]:
        reading = _Reading()
        seconds, micros = self._redis.time()
        now_ms = seconds * 1000 + micros // 1000
        reading.add("activation_build_info", 1, installed_version(), platform.python_version())
        alerts = read_open(self._redis)
        accounts: dict[str, About] = {}
        for name in self._destinations.ids():
            try:
                about = self._destinations.about(name)
            except UnknownDestination:
                continue
            accounts.setdefault(about.account, about)
            self._read_counts(reading, name, now_ms)
            locked = alerts.get(Alert(UNREADABLE, name, "").field)  # there is no key here to try it with
            self._read_present(reading, name, unreadable=locked is not None and not locked.gone_ms)
        for account, about in accounts.items():
            self._read_account(reading, account, about)
        self._read_installation(reading, now_ms, alerts.values())
        return reading.families()

    def _read_counts(self, reading: _Reading, name: str, now_ms: int) -> None:
        counts = read_totals(self._redis, name, now_ms)
        for outcome in (counters.RECEIVED, *OUTCOMES):
            reading.add("activation_profiles", counts.get(outcome, 0), name, outcome)
        reading.add("activation_calls", counts.get(counters.CALLS, 0), name)
        reading.add("activation_retries", counts.get(counters.RETRIED, 0), name)
        for field, count in counts.items():
            if field.startswith(_THROTTLED):
                reading.add("activation_throttles", count, name, field.removeprefix(_THROTTLED))
            if field.startswith(counters.ANSWER):
                reading.add("activation_answers", count, name, field.removeprefix(counters.ANSWER))
            elif field.startswith(counters.WHY):
                reading.add("activation_reasons", count, name, field.removeprefix(counters.WHY))
            elif field.startswith(counters.SEGMENT):
                segment, _, status = field.removeprefix(counters.SEGMENT).rpartition(":")
                reading.add("activation_segment_deliveries", count, name, segment, status)
        for timed, metric in _TIMED.items():
            reading.add_histogram(metric, read_histogram(timed, counts), name)

    def _read_present(self, reading: _Reading, name: str, *, unreadable: bool) -> None:
        waiting = read_backlog(self._redis, name)
        oldest = oldest_waiting_age_seconds(self._redis, name)
        for kind in ("live", "backfill", "parked"):
            reading.add("activation_backlog_profiles", getattr(waiting, kind), name, kind)
            reading.add("activation_oldest_waiting_seconds", getattr(oldest, kind) or 0.0, name, kind)
        now = UNREADABLE if unreadable else str(self._states.status(name))
        for status in (*map(str, Status), UNREADABLE):
            reading.add("activation_destination_state", float(now == status), name, status)
        reading.add("activation_failures_kept", count_failures(self._redis, name), name)

    def _read_account(self, reading: _Reading, account: str, about: About) -> None:
        quota = read_quota(self._redis, account, calls_per_year=about.calls_per_year)
        reading.add("activation_account_calls", quota.used, account)
        reading.add("activation_account_calls_allowed", quota.allowed, account)
        pace = read_pace(
            self._redis, account, Limits(calls_per_minute=about.calls_per_minute, max_in_flight=about.max_in_flight)
        )
        reading.add("activation_account_rate_allowed", pace.allowed_per_minute / 60, account)
        reading.add("activation_account_rate_learned", pace.learned_per_minute / 60, account)
        reading.add("activation_account_rate_used", pace.used_per_minute / 60, account)
        reading.add("activation_account_permits", pace.permits, account)
        reading.add("activation_account_permits_allowed", pace.max_in_flight, account)
        reading.add("activation_account_wait_seconds", pace.wait_seconds, account)
        requests: Any = self._redis.hgetall(AccountKeys(account).token_requests)
        for result in ("granted", "refused"):
            reading.add("activation_token_requests", int(requests.get(result.encode(), 0)), account, result)

    def _read_installation(self, reading: _Reading, now_ms: int, alerts: Iterable[OpenAlert]) -> None:
        for process in read_processes(self._redis):
            labels = (process.name, process.role, process.version)
            reading.add("activation_process_up", float(process.is_alive(now_ms)), *labels)
            reading.add("activation_process_silent_seconds", process.silent_seconds(now_ms), *labels)
            reading.add("activation_process_clock_ahead_seconds", process.ahead_ms / 1000, *labels)
        sweep = read_sweep_age_seconds(self._redis, now_ms=now_ms)
        if sweep is not None:
            reading.add("activation_sweep_age_seconds", sweep)
        memory = read_memory(self._redis)
        reading.add("activation_redis_memory_used_bytes", memory.used)
        reading.add("activation_redis_memory_max_bytes", memory.most)
        reading.add("activation_refused_messages", int(self._redis.get(REFUSED_COUNT) or 0))
        for item in alerts:
            reading.add("activation_alert_open", 1, item.alert.kind, item.alert.destination, str(item.alert.severity))


class _Reading:
    """The metric families of one scrape."""

    def __init__(self) -> None:
        self._families: dict[str, Any] = {
            name: _KINDS[metric.kind](name, metric.meaning, labels=list(metric.labels))
            for name, metric in METRICS.items()
        }

    def add(self, name: str, value: float, *labels: str) -> None:
        self._families[name].add_metric(list(labels), value)

    def add_histogram(self, name: str, histogram: Any, *labels: str) -> None:
        self._families[name].add_metric(list(labels), histogram.cumulated(), histogram.sum_seconds)

    def families(self) -> Iterator[Metric]:
        yield from self._families.values()


def make_registry(redis: Redis, settings: Settings) -> CollectorRegistry:
    """Return the registry to serve; it needs no sealing key."""
    registry = CollectorRegistry()
    registry.register(PipelineCollector(redis, settings))
    return registry
