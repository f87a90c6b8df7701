"""The two tasks that profiles go through."""

from __future__ import annotations

import logging
from typing import Any

from celery.exceptions import Reject

from app.delivery.wakeup import Next
from app.errors import ActivationError, UsageError
from app.lanes.lane import PLAIN_MARK
from app.logs import say_once
from app.reporting.alerts import Alert, raise_alert
from tasks.base import ActivationTask, log
from tasks.celery import app
from tasks.config import ENQUEUE_QUEUE
from tasks.consumer import pause_queue, resume_queue
from tasks.worker import context


class EnqueueTask(ActivationTask):
    """Its arguments are profiles: never shown, and never published again by us."""

    abstract = True
    shows_arguments = False

    def wait_for(self, error: ActivationError) -> None:
        """A retry would publish the profiles anew; the broker keeps the sender's own message instead, and this worker takes
        none of them for a while.
        """
        seconds = pause_queue(ENQUEUE_QUEUE)
        say_once(
            log, f"enqueue:{error}", "%s %s No messages of %s are taken for %.0f s; they wait on the broker.",
            error, error.remedy, ENQUEUE_QUEUE, seconds, level=logging.ERROR,
        )  # fmt: skip
        raise Reject(type(error).__name__, requeue=True)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """What can never be accepted is told to the operator: the sender of a message hears nothing."""
        try:
            super().__call__(*args, **kwargs)
            resume_queue(ENQUEUE_QUEUE)
        except (UsageError, TypeError, ValueError) as error:
            resources = context().resources
            name = str(kwargs.get("destination", args[0] if args else ""))[:63]
            text = f"A message of activation.enqueue was refused: {error}"
            alert = Alert("message_refused", name, text, "Mend the sender and send again; see docs/enqueue.md.")
            raise_alert(resources.redis, alert, alert_url=resources.settings.alert_url)
            log.error("%s", text)


@app.task(base=EnqueueTask, name="activation.enqueue", bind=True)
def enqueue(
    self: Any,
    destination: str,
    profiles: list[Any],
    job_id: str | None = None,
    occurred_at: str | None = None,
    backfill: bool = False,
    force: bool = False,
) -> None:
    """Append profiles to their contacts' lanes, once however often the message is delivered."""
    context().producer.enqueue(
        destination,
        profiles,
        occurred_at=occurred_at,
        job_id=job_id,
        backfill=backfill,
        force=force,
        repeat_id=self.request.id,
    )


@app.task(base=ActivationTask, name="activation.deliver")
def deliver(destination: str, lane: int, mark: str = PLAIN_MARK) -> Next:
    """Drain one lane of one destination for a slice of time."""
    return context().delivery.drain(destination, lane, mark)
