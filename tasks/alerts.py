"""Sending what is to be said about alerts."""

from __future__ import annotations

from app.reporting.outbox import deliver_alone
from tasks.base import ChoreTask
from tasks.celery import app
from tasks.worker import context


@app.task(base=ChoreTask, name="alerts.deliver")
def deliver() -> str:
    """Send the messages that are due; a channel that does not take one gets it again later, from a task after a later sweep."""
    return f"{deliver_alone(context().resources)} messages taken"
