"""Metrics for Prometheus, read from Redis at each scrape: counters need no process to remember them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.destinations.state import StateStore, Status
from app.destinations.store import Directory
from app.errors import UnknownDestination
from app.lanes.failures import count_failures
from app.reporting.quota import read_quota
from app.reporting.runs import OUTCOMES, read_backlog, read_runs

if TYPE_CHECKING:
    from redis import Redis

    from app.settings import Settings


class PipelineCollector(Collector):
    """Counts of the current hour, the backlog, the state and the quota of every destination."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._destinations = Directory(redis)
        self._states = StateStore(redis, settings)

    def describe(self) -> Iterable[Metric]:
        return ()  # asked at registration, when Redis may be away

    def collect(self) -> Iterable[Metric]:
        profiles = GaugeMetricFamily(
            "activation_profiles_this_hour",
            "Profiles by outcome in the current hour.",
            labels=["destination", "outcome"],
        )
        calls = GaugeMetricFamily("activation_calls_this_hour", "Calls in the current hour.", labels=["destination"])
        backlog = GaugeMetricFamily(
            "activation_backlog_profiles", "Profiles waiting, by kind.", labels=["destination", "kind"]
        )
        states = GaugeMetricFamily(
            "activation_destination_state",
            "1 for the state that the destination is in.",
            labels=["destination", "state"],
        )
        failures = GaugeMetricFamily("activation_failures_kept", "Failed profiles kept.", labels=["destination"])
        used = CounterMetricFamily("activation_account_calls", "Calls of this year, by account.", labels=["account"])
        allowed = GaugeMetricFamily("activation_account_calls_allowed", "Calls allowed a year.", labels=["account"])
        accounts: set[str] = set()
        for name in self._destinations.ids():
            try:
                about = self._destinations.about(name)
            except UnknownDestination:
                continue
            runs = read_runs(self._redis, name, hours=1)
            counts = runs[0].outcomes if runs else dict.fromkeys(OUTCOMES, 0)
            profiles.add_metric([name, "received"], runs[0].received if runs else 0)
            for outcome, count in counts.items():
                profiles.add_metric([name, outcome], count)
            calls.add_metric([name], runs[0].calls if runs else 0)
            waiting = read_backlog(self._redis, name)
            backlog.add_metric([name, "live"], waiting.live)
            backlog.add_metric([name, "backfill"], waiting.backfill)
            backlog.add_metric([name, "parked"], waiting.parked)
            now = self._states.status(name)
            for status in Status:
                states.add_metric([name, str(status)], float(now is status))
            failures.add_metric([name], count_failures(self._redis, name))
            account = about.account
            if account not in accounts:
                accounts.add(account)
                quota = read_quota(self._redis, account, calls_per_year=about.calls_per_year)
                used.add_metric([account], quota.used)
                allowed.add_metric([account], quota.allowed)
        yield from (profiles, calls, backlog, states, failures, used, allowed)


def make_registry(redis: Redis, settings: Settings) -> CollectorRegistry:
    """What is to be served; it needs no sealing key."""
    registry = CollectorRegistry()
    registry.register(PipelineCollector(redis, settings))
    return registry
