"""The Celery application: `celery -A tasks worker`, `celery -A tasks beat`, `celery -A tasks flower`."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from app.logs import configure
from app.settings import Settings
from tasks.config import celery_config
from tasks.consumer import set_aside
from tasks.transport import harden

harden(set_aside)  # before anything connects: kombu remembers which transport a scheme has
settings = Settings.from_env()
app = Celery("activation", include=["tasks.activation", "tasks.alerts", "tasks.attributes", "tasks.maintenance"])
app.conf.update(celery_config(settings))


@setup_logging.connect
def _log_discreetly(loglevel: Any = None, **_: Any) -> None:
    """Celery leaves logging alone when this signal has a receiver; its own would quote messages."""
    configure(loglevel or settings.log_level, form=settings.log_format)
