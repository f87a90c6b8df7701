"""A worker consumer whose task rate limits hold under backlog.

Stock Celery arms one timer for every rate-limited message that waits, and kombu's event loop fires at most ten of them a
round before it sleeps for a second: with ten or more waiting, '10/s' becomes about one a second (celery#5927). Here each
bucket has one timer at a time, whoever waits in it.
"""

from __future__ import annotations

from typing import Any

from celery.utils.time import rate
from celery.worker.consumer import Consumer as StockConsumer
from kombu.utils.limits import TokenBucket


class Consumer(StockConsumer):
    """Set as `worker_consumer`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._timed_buckets: set[int] = set()
        super().__init__(*args, **kwargs)

    def bucket_for_task(self, type: Any) -> Any:  # noqa: A002  # Celery's name
        """Room for two tokens, so that what a timer comes late by is not lost to the rate; two at most run back to back."""
        limit = rate(getattr(type, "rate_limit", None))
        return TokenBucket(limit, capacity=2) if limit else None  # type: ignore[no-untyped-call]

    def _schedule_bucket_request(self, bucket: Any) -> None:
        if id(bucket) in self._timed_buckets:
            return
        while bucket.contents:
            request, tokens = bucket.contents[0]
            if not bucket.can_consume(tokens):
                self._timed_buckets.add(id(bucket))
                self.timer.call_after(bucket.expected_time(tokens), self._bucket_is_due, (bucket,))
                return
            bucket.pop()
            self._limit_move_to_pool(request)

    def _bucket_is_due(self, bucket: Any) -> None:
        self._timed_buckets.discard(id(bucket))
        self._schedule_bucket_request(bucket)

    def reset_rate_limits(self) -> None:
        """Called at start and whenever a rate limit is changed by remote control: the buckets are new, and so are the timers."""
        self._timed_buckets.clear()
        super().reset_rate_limits()
