"""Saying a thing once while it lasts, instead of once for every message that meets it."""

from __future__ import annotations

import logging
import time
from threading import Lock

SAY_AGAIN_SECONDS = 60.0

_said: dict[str, float] = {}
_lock = Lock()


def say_once(log: logging.Logger, what: str, text: str, *arguments: object, level: int = logging.WARNING) -> bool:
    """Log a text unless the same was said (`what` names it) within the last minute. True when it was logged."""
    now = time.monotonic()
    with _lock:
        if now - _said.get(what, float("-inf")) < SAY_AGAIN_SECONDS:
            return False
        if len(_said) > 1000:
            _said.clear()
        _said[what] = now
    log.log(level, text, *arguments)
    return True
