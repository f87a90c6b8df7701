"""The intake's counts for Prometheus, for all its processes together as added up in Redis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from app.intake.counts import SECONDS, Counted, read_counts

if TYPE_CHECKING:
    from redis import Redis


def intake_metrics(redis: Redis) -> Iterable[Metric]:
    """Yield the metrics. Raises: redis-py's errors."""
    yield from families(read_counts(redis))


def families(counted: Counted) -> Iterable[Metric]:
    answers = CounterMetricFamily(
        "activation_intake_requests",
        "Requests with profiles, by the status of their answer.",
        labels=["source", "status"],
    )
    profiles = CounterMetricFamily(
        "activation_intake_profiles", "Profiles by what became of them.", labels=["source", "outcome"]
    )
    seen = GaugeMetricFamily("activation_intake_source_seen_seconds", "When a source last sent.", labels=["source"])
    for name, source in sorted(counted.sources.items()):
        for status, count in sorted(source.answers.items()):
            answers.add_metric([name, str(status)], count)
        profiles.add_metric([name, "accepted"], source.accepted)
        profiles.add_metric([name, "excluded"], source.excluded)
        if source.seen_ms:
            seen.add_metric([name], source.seen_ms / 1000)
    took = HistogramMetricFamily("activation_intake_answer_seconds", "From the first byte of a request to its answer.")
    buckets, total = [], 0
    for bound in (*map(str, SECONDS), "+Inf"):
        total += counted.took.get(bound, 0)
        buckets.append((bound, float(total)))
    took.add_metric([], buckets=buckets, sum_value=None)
    return answers, profiles, seen, took
