"""What a worker process keeps, and what it does when it starts and when it is told to stop."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

from celery.signals import worker_init, worker_shutting_down

from app.delivery import Delivery
from app.producer import Producer
from app.resources import Resources
from app.settings import Settings


class Context:
    """Resources, producer and delivery of this process, made on first use."""

    def __init__(self) -> None:
        self.resources = Resources.from_settings(Settings.from_env())
        self.producer = Producer(self.resources)
        self.delivery = Delivery(self.resources)


_lock = Lock()


@cache
def _make() -> Context:
    return Context()


def context() -> Context:
    """The context of this process; the lock keeps two threads from making two."""
    with _lock:
        return _make()


@worker_init.connect
def _on_start(**_: Any) -> None:
    context().resources.redis.ping()


@worker_shutting_down.connect
def _on_stop(**_: Any) -> None:
    """Sessions end with the calls in flight; their lanes are handed to other workers."""
    context().delivery.close()
