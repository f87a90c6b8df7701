"""The sweep, which beat sends every few seconds."""

from __future__ import annotations

from app.reporting.outbox import has_due
from app.sweep import sweep as sweep_all
from tasks.alerts import deliver
from tasks.base import ChoreTask
from tasks.celery import app
from tasks.worker import context


@app.task(base=ChoreTask, name="maintenance.sweep")
def sweep() -> str:
    """Wake lanes that have work but no wake-up, trim what is kept, raise alerts."""
    resources = context().resources
    woken = sweep_all(resources, context().waker)
    if has_due(resources.redis, now_ms=resources.clock.now_ms()):
        deliver.delay()
    return f"{woken} lanes woken"
