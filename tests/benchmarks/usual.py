"""The usual way, to compare with: one Celery task for each contact, which calls with a plain `requests.Session`."""

from __future__ import annotations

import os
from typing import Any

import requests
from celery import Celery

app = Celery("usual", broker=os.environ.get("USUAL_BROKER", "redis://127.0.0.1:1/0"))
app.conf.task_ignore_result = True
session = requests.Session()
HEADERS = {"Authorization": "Bearer " + "t" * 40}


@app.task
def update(url: str, body: dict[str, Any]) -> None:
    """One contact, one task, one call."""
    answer = session.patch(url, json=body, headers=HEADERS, timeout=(5, 120))
    answer.raise_for_status()
    if answer.json()["hasErrors"]:
        raise RuntimeError("refused")
