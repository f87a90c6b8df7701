"""A queue that is paused is taken from again, whatever becomes of the broker meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tasks.consumer import PAUSE_SECONDS, Consumer

QUEUE = "activation"


class Timer:
    """Celery's, whose time comes when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def call_after(self, seconds: float, what: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.waiting.append((seconds, what, args))

    def fire(self) -> None:
        for _, what, args in self.waiting:
            what(*args)
        self.waiting.clear()


class Broken:
    """What Celery takes messages with, on a connection that is lost."""

    def cancel_by_queue(self, queue: str) -> None:
        raise ConnectionResetError(queue)


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def consumer(timer: Timer, monkeypatch: pytest.MonkeyPatch) -> Consumer:
    monkeypatch.setattr(Consumer, "running", None)
    app = Celery("test", broker="memory://", set_as_current=False)
    return Consumer(
        lambda _: None, app=app, timer=timer, controller=SimpleNamespace(use_eventloop=False, semaphore=None)
    )


def stops(consumer: Consumer) -> int:
    """How many queues it is about to stop taking from."""
    return len(consumer._pending_operations)


def test_a_broker_that_goes_while_a_queue_is_paused_pauses_it_for_a_while_only(
    consumer: Consumer, timer: Timer
) -> None:
    consumer.task_consumer = Broken()
    assert consumer.pause(QUEUE) == PAUSE_SECONDS
    consumer.perform_pending_operations()
    assert [seconds for seconds, *_ in timer.waiting] == [PAUSE_SECONDS]
    consumer.task_consumer = None  # it is connecting
    timer.fire()
    assert consumer.pause(QUEUE) == 2 * PAUSE_SECONDS
    assert stops(consumer) == 1


def test_a_pause_that_was_lost_with_the_connection_hinders_no_later_one(consumer: Consumer) -> None:
    consumer.pause(QUEUE)
    consumer.pause(QUEUE)
    assert stops(consumer) == 1, "it is paused already"
    consumer._pending_operations.clear()  # kombu calls none of those behind one that raises
    consumer.on_close()
    consumer.pause(QUEUE)
    assert stops(consumer) == 1
