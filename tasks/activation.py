"""The two tasks that handle profiles: `activation.enqueue` takes them in, `activation.deliver` works through a lane."""

from __future__ import annotations

import logging
from typing import Any

from celery.exceptions import Reject

from app.delivery.work import WakeUpResult
from app.errors import ActivationError, SealBroken, UnknownDestination, UsageError
from app.lanes.lane import ANY_WAKE_UP
from app.logs import say_once
from app.queues import DELIVERY_QUEUE, ENQUEUE_QUEUE
from app.reporting.refused import as_content
from tasks.arguments import check_wake_up, read_arguments
from tasks.base import ActivationTask, log
from tasks.celery import app
from tasks.consumer import forget_pauses, pause_queue
from tasks.worker import context


class EnqueueTask(ActivationTask):
    """Base of `activation.enqueue`. Its arguments are profiles, so they are never shown and never published again by us."""

    abstract = True
    shows_arguments = False

    def wait_for(self, error: ActivationError) -> None:
        """Requeue the sender's own message and pause the queue in this worker; a retry would publish the profiles anew."""
        seconds = pause_queue(ENQUEUE_QUEUE)
        say_once(
            log,
            f"enqueue:{error}",
            "%s %s No messages of %s are taken for %.0f s; they wait on the broker.",
            error,
            error.remedy,
            ENQUEUE_QUEUE,
            seconds,
            level=logging.ERROR,
        )
        raise Reject(type(error).__name__, requeue=True)

    def unforeseen(self, error: Exception) -> None:
        """Keep the message for the operator; it is not delivered again."""
        content = as_content({"args": self.request.args, "kwargs": self.request.kwargs})
        context().refused.keep(f"activation.enqueue met an unexpected error ({type(error).__name__})", content)

    def refuse(self, error: UsageError) -> None:
        """Keep a message that can never be accepted for the operator, because its sender gets no answer."""
        content = as_content({"args": self.request.args, "kwargs": self.request.kwargs})
        why = "destination: is not connected" if isinstance(error, UnknownDestination) else str(error).rstrip(".")
        context().refused.keep(f"activation.enqueue: {why}", content)


class DeliverTask(ActivationTask):
    """Base of `activation.deliver`. The sweep sends another wake-up if one fails."""

    abstract = True

    def comes_again(self, error: ActivationError) -> bool:
        """Return whether the sweep retries for us.

        A missing key will not appear in a moment, but the sweep wakes lanes that have work.
        """
        return isinstance(error, SealBroken)

    def come_back(self, outcome: WakeUpResult) -> None:
        """Retry this wake-up after the stated time, because the destination as a whole has to wait."""
        limit = context().resources.settings.task_retries
        if limit and self.request.retries >= limit:
            log.info("%s %s gives its retries up; the sweep goes on.", self.name, self.request.args)
            return
        raise self.retry(
            kwargs={**self.request.kwargs, "wake_up_token": outcome.wake_up_token},
            countdown=outcome.come_back_seconds,
            queue=DELIVERY_QUEUE,  # the shared queue: the leader's own might be gone by then
        )


@app.task(base=EnqueueTask, name="activation.enqueue", bind=True, typing=False)
def enqueue(self: Any, *args: Any, **kwargs: Any) -> str:
    """Append profiles to their contacts' lanes, once however often the message is delivered."""
    found = context()
    call = read_arguments(args, kwargs, found.resources)
    job = found.producer.enqueue(
        call.destination,
        call.profiles,
        occurred_at=call.occurred_at,
        job_id=call.job_id,
        backfill=call.backfill,
        force=call.force,
        repeat_id=self.request.id,
        source="celery",
    )
    forget_pauses(ENQUEUE_QUEUE)
    return f"{call.destination}: {len(call.profiles):,} profiles, job {job}"


@app.task(base=DeliverTask, name="activation.deliver", bind=True)
def deliver(self: Any, destination: str, lane: int, wake_up_token: str = ANY_WAKE_UP) -> str:
    """Work through one lane of one destination until it is empty or it is others' turn, then wake the lanes that go on."""
    check_wake_up(destination, lane, wake_up_token)
    outcome = context().delivery.drain(destination, lane, wake_up_token)
    context().waker.wake(destination, outcome.wake, worker=outcome.worker)
    if outcome.come_back_seconds is not None:
        self.come_back(outcome)
    return f"{destination} lane {lane}: {'goes on' if lane in outcome.wake else 'done'}"
