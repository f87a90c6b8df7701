"""What beat asks for every few seconds."""

from __future__ import annotations

from app.sweep import sweep as sweep_all
from tasks.base import ActivationTask
from tasks.celery import app
from tasks.worker import context


@app.task(base=ActivationTask, name="maintenance.sweep")
def sweep() -> None:
    """Wake lanes that have work and no wake-up, bound what is kept, raise alerts."""
    sweep_all(context().resources, context().producer)
