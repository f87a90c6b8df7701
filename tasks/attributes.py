"""Keeping the cached attribute-set definitions fresh."""

from __future__ import annotations

from app.destinations.catalogs import refresh_connected
from tasks.base import ActivationTask
from tasks.celery import app
from tasks.worker import context


@app.task(base=ActivationTask, name="attributes.refresh")
def refresh(destination: str) -> None:
    """Refresh the definitions of one destination; a failure keeps the old ones and is noted."""
    refresh_connected(context().resources, destination)


@app.task(base=ActivationTask, name="attributes.refresh_all")
def refresh_all() -> None:
    """One task for each connected destination, so that a slow account holds up no other."""
    for destination in context().resources.destinations.ids():
        refresh.delay(destination)
