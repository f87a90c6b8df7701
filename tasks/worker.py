"""What a worker process holds, and what it does when it starts and when it is told to stop."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from functools import cache
from threading import Lock, Timer
from types import FrameType
from typing import Any

from celery.signals import celeryd_after_setup, worker_init, worker_ready, worker_shutdown, worker_shutting_down
from kombu.entity import Exchange

from app.broker import worker_queue
from app.delivery.wakeup import Delivery
from app.producer import Producer
from app.queues import DELIVERY_QUEUE, QUEUES
from app.reporting.outbox import deliver_due
from app.reporting.presence import Presence
from app.reporting.refused import RefusedMessages
from app.resources import Resources
from app.settings import Settings
from app.sweep.alerts import Judgement
from app.tracing import TRACES
from app.wake_ups import Waker

NEW_OBJECTS = 20_000  # the collector's threshold; Python's default is 700

log = logging.getLogger(__name__)


class Context:
    """The resources, waker, producer and delivery of this process."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.resources = Resources.from_settings(Settings.from_env())
        self.waker = Waker(self.resources)
        self.producer = Producer(self.resources, self.waker)
        self.delivery = Delivery(self.resources, wake=self.waker.wake)
        self.refused = RefusedMessages(self.resources)
        self.presence: Presence | None = None

    def watch(self) -> None:
        """Alert when sweeps have ended, and send that alert too: nobody else may be there to do either."""
        if Judgement(self.resources).watch(up_seconds=time.monotonic() - self._begun):
            deliver_due(
                self.resources, most=1
            )  # one at a time: a hanging channel takes seconds, and signs of life wait for it


_lock = Lock()


@cache
def _make() -> Context:
    return Context()


def context() -> Context:
    """Return the context of this process, made on first use; the lock keeps two threads from making two."""
    with _lock:
        return _make()


@worker_init.connect
def _on_start(**_: Any) -> None:
    context().resources.redis.ping()


@celeryd_after_setup.connect
def _take_own_wake_ups(sender: str, instance: Any, **_: Any) -> None:
    """Give a delivery worker its own queue beside the shared one, for wake-ups of the accounts that it leads."""
    queues = instance.app.amqp.queues
    if DELIVERY_QUEUE in queues.consume_from:
        # Celery replaces a nameless exchange by its default one and would bind the queue to it
        queue = queues.select_add(worker_queue(sender))
        queue.exchange = Exchange("")  # type: ignore[no-untyped-call]  # so in kombu
        context().delivery.leads.begin(sender)


@worker_ready.connect
def _be_seen(sender: Any = None, **_: Any) -> None:
    """Start reporting that this worker is alive, what it takes and what it measured, and watching that sweeps go on."""
    queues = tuple(sorted({queue.name for queue in sender.task_consumer.queues}.intersection(QUEUES)))
    found = context()
    role = "worker" if DELIVERY_QUEUE in queues else "maintenance"
    found.presence = Presence(found.resources, sender.hostname, role, queues, found.watch)
    found.presence.begin()
    TRACES.begin(found.resources.settings, f"activation-{role}")


@worker_ready.connect
def _spare_the_collector(**_: Any) -> None:
    """Exempt what exists by now from garbage collection (gc.freeze, https://docs.python.org/3/library/gc.html).

    It stays for good, while contacts come and go by the thousand.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


@worker_ready.connect
def _listen_for_quit(**_: Any) -> None:
    """Stop sessions when QUIT arrives; Celery's own signal for QUIT comes only after it has waited for the tasks."""
    stock = signal.getsignal(signal.SIGQUIT)
    if not callable(stock):
        return  # embedded in a program that handles its own signals

    def stop(number: int, frame: FrameType | None) -> None:
        _stop()
        stock(number, frame)

    signal.signal(signal.SIGQUIT, stop)


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    """Tell the sessions to stop, right in the signal handler of TERM, INT or QUIT.

    Celery waits for every task, and a session goes on as long as there is work.
    """
    found = context()
    if found.delivery.stopping.is_set():
        return  # the second of two signals
    found.delivery.close()
    if found.presence is not None:
        found.presence.end()
    TRACES.end()
    limit = Timer(found.resources.settings.soft_shutdown_seconds, _leave)
    limit.daemon = True
    limit.start()


@worker_shutdown.connect
def _give_back(**_: Any) -> None:
    """Give back what this worker held and flush what it measured, now that all sessions have ended."""
    found = context()
    found.delivery.give_back()
    found.resources.measures.flush(found.resources.redis, found.resources.clock)


def _leave() -> None:
    """End without waiting for open calls; the next holder of each lane repeats them."""
    log.warning("Calls in flight were not answered in time; this worker ends without their answers.")
    logging.shutdown()
    os._exit(0)
