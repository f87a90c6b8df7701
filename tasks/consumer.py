"""A worker consumer that no message can crash, whose task rate limits hold under backlog, and that can pause a queue.

Stock Celery arms one timer for every waiting rate-limited message, and kombu's event loop fires at most ten of them per
round before it sleeps for a second: with ten or more waiting, '10/s' becomes about one a second (celery#5927). Here each
bucket has at most one timer, however many messages wait in it.

A queue whose messages cannot be worked on now is paused: they stay on the broker, and the worker does not spin. After each
pause the worker tries once more; consecutive pauses get longer.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from celery.utils.time import rate
from celery.worker.consumer import Consumer as StockConsumer
from kombu.utils.limits import TokenBucket

from tasks.messages import UnreadableMessage, fault_in_message

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
PAUSE_MOST_SECONDS = 30.0


class Consumer(StockConsumer):
    """Set as `worker_consumer`."""

    running: ClassVar[Consumer | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._timed_buckets: set[int] = set()
        self._pauses: dict[str, int] = {}  # queue -> pauses in a row
        self._paused: set[str] = set()
        super().__init__(*args, **kwargs)
        Consumer.running = self

    def pause(self, queue: str) -> float:
        """Take no messages from a queue for a while; any thread may call this.

        Returns the shortest length of the pause in seconds.
        """
        seconds: float = min(PAUSE_MOST_SECONDS, PAUSE_SECONDS * 2 ** self._pauses.get(queue, 0))
        if queue not in self._paused:
            self._paused.add(queue)
            self._pauses[queue] = min(self._pauses.get(queue, 0) + 1, 10)
            self.call_soon(self._stop_consuming, queue, seconds)
        return seconds

    def forget_pauses(self, queue: str) -> None:
        """Note that a message of the queue was handled, so that the next pause is short again."""
        if queue not in self._paused:
            self._pauses.pop(queue, None)

    def _stop_consuming(self, queue: str, seconds: float) -> None:
        # the timer first: cancelling asks the AMQP broker, and if that fails the queue would stay paused for good
        self.timer.call_after(seconds, self._consume_again, (queue,))
        if self.task_consumer is not None:
            self.task_consumer.cancel_by_queue(queue)

    def _consume_again(self, queue: str) -> None:
        self._paused.discard(queue)
        if self.task_consumer is not None and not self.task_consumer.consuming_from(queue):
            self.task_consumer.add_queue(self.app.amqp.queues[queue])
            self.task_consumer.consume()

    def on_close(self) -> None:
        """Forget the pauses: their timers ended with the connection, and the next one consumes from every queue."""
        super().on_close()
        self._paused.clear()

    # -- what cannot be received ---------------------------------------------------------------------------------------

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Check each message before Celery does, which would crash on some and quote others in its log."""
        receive = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> Any:
            fault = fault_in_message(
                message.headers, message.body, message.content_type, message.content_encoding, tasks=self.strategies
            )
            if fault:
                return self.refuse(message, fault)
            try:
                return receive(message)
            except self.connection_errors:
                raise
            except Exception as error:  # noqa: BLE001  # the worker survives any error
                return self.refuse(message, f"Celery cannot receive it ({type(error).__name__})")

        return on_task_received

    def refuse(self, message: Any, why: str) -> None:
        """Take a message off its queue and keep it for the operator."""
        body = message.body
        set_aside(why, body if isinstance(body, bytes) else str(body).encode(errors="replace"))
        message.reject_log_error(log, self.connection_errors)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a message that kombu could not, or was told not to, decode or decompress."""
        found = str(exc) if isinstance(exc, UnreadableMessage) else f"its body cannot be decoded ({type(exc).__name__})"
        self.refuse(message, found)

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002  # Celery's signature
        self.refuse(message, "it starts no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002  # Celery's signature
        self.refuse(message, "there is no task of its name")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002  # Celery's signature
        self.refuse(message, "Celery finds it invalid")

    def bucket_for_task(self, type: Any) -> Any:  # noqa: A002  # Celery's name
        """Return a bucket with room for two tokens: a late timer then costs no rate, and at most two tasks run back to back."""
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
        """Forget the timers as well: the buckets are new. Called at start and whenever remote control changes a rate limit."""
        self._timed_buckets.clear()
        super().reset_rate_limits()


def set_aside(why: str, content: bytes) -> None:
    """Keep a message that cannot be read for the operator."""
    from tasks.worker import context

    context().refused.keep(why, content)


def pause_queue(queue: str) -> float:
    """Pause a queue in this worker; returns the length in seconds."""
    return Consumer.running.pause(queue) if Consumer.running is not None else 0.0


def forget_pauses(queue: str) -> None:
    """Note that a message of the queue was handled."""
    if Consumer.running is not None:
        Consumer.running.forget_pauses(queue)
