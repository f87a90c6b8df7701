"""The Celery application: `celery -A tasks worker`, `celery -A tasks beat`, `celery -A tasks flower`."""

from __future__ import annotations

from celery import Celery

from app.settings import Settings
from tasks.config import celery_config

app = Celery("activation", include=["tasks.activation", "tasks.attributes", "tasks.maintenance"])
app.conf.update(celery_config(Settings.from_env()))
