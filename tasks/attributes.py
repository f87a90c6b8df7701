"""The task that keeps the cached attribute-set definitions fresh."""

from __future__ import annotations

from app.sweep.refresh import refresh_due
from tasks.base import ChoreTask
from tasks.celery import app
from tasks.worker import context


@app.task(base=ChoreTask, name="attributes.refresh")
def refresh() -> str:
    """Fetch the definitions of the few accounts whose cached copies are oldest."""
    return f"{refresh_due(context().resources)} accounts asked"
