"""What comes of a task whose worker lacks something."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Retry
from redis.exceptions import ConnectionError as RedisConnectionError

from app.errors import SealBroken
from tasks.activation import DeliverTask
from tasks.base import ActivationTask, ChoreTask

AWAY, LOCKED = RedisConnectionError(), SealBroken("A sealed destination")


@pytest.mark.parametrize(
    ("base", "error", "is_retried"),
    [
        (ActivationTask, AWAY, True),
        (ActivationTask, LOCKED, True),
        (ChoreTask, AWAY, False),
        (ChoreTask, LOCKED, False),
        (DeliverTask, AWAY, True),
        (DeliverTask, LOCKED, False),
    ],
)
def test_what_beat_or_the_sweep_sends_anyway_is_not_retried(
    base: type[ActivationTask], error: Exception, is_retried: bool
) -> None:
    app = Celery("test", broker="memory://", set_as_current=False)

    @app.task(base=base, name="work", shared=False)
    def work() -> Any:
        raise error

    work.push_request(called_directly=False, id="an-id", retries=3)
    if is_retried:
        with pytest.raises(Retry):
            work()
    else:
        assert work() is None
