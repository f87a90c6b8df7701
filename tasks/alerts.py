"""The task that sends alert messages."""

from __future__ import annotations

from app.reporting.outbox import deliver_alone
from tasks.base import ChoreTask
from tasks.celery import app
from tasks.worker import context


@app.task(base=ChoreTask, name="alerts.deliver")
def deliver() -> str:
    """Send the alert messages that are due; one that its channel does not take is tried again after a later sweep."""
    return f"{deliver_alone(context().resources)} messages taken"
