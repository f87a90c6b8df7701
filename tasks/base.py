"""The base of all tasks: turns their outcome into ack, retry or pause, and keeps task arguments from view."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from celery.worker.request import Request
from redis.exceptions import RedisError

from app.backoff import full_jitter
from app.errors import ActivationError, SealBroken, ServiceUnreachable, UsageError
from app.logs import say_once
from app.storage import explain

log = logging.getLogger(__name__)

AWAY_CAP_SECONDS = 30.0


class MaskedRequest(Request):
    """A request that hides its arguments unless its task allows them to be shown.

    A client that enqueues profiles also writes them into the message's headers (`kwargsrepr`). From there they would reach
    the log, the events, Flower and `celery inspect`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.task.shows_arguments:
            self._argsrepr, self._kwargsrepr = "(…)", "{…}"

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002  # remote control passes safe=False, for the raw values
        return dict(super().info(safe=True))


class ActivationTask(Task):
    """Base of all tasks: turns a result or an error into what Celery does next."""

    abstract = True
    Request = MaskedRequest
    # a wake-up's arguments are a destination and a lane number, which Flower is meant to show
    shows_arguments = True
    max_retries = None

    def __call__(self, *args: Any, **kwargs: Any) -> str | None:
        """Run the task: acknowledge by returning, come back by `retry`. An unexpected error is logged without its text.

        Flower and the log show the returned text: destination, lane and outcome.
        """
        try:
            outcome = super().__call__(*args, **kwargs)
        except RedisError as error:
            self.wait_for(explain(error))
            return None
        except (ServiceUnreachable, SealBroken) as error:
            self.wait_for(error)
            return None
        except UsageError as error:
            self.refuse(error)
            return f"refused: {type(error).__name__}"
        except (Retry, Reject, Ignore):
            raise
        except Exception as error:
            # its text may quote profiles; Celery would put it into its log and its events
            log.exception("%s ended in an unexpected error.", self.name)
            self.unforeseen(error)
            return f"failed: {type(error).__name__}"
        return outcome if isinstance(outcome, str) else None

    def wait_for(self, error: ActivationError) -> None:
        """Try again later: a service is away or takes no writes, or a key is missing. Nothing is lost."""
        say_once(log, f"{type(error).__name__}:{error}", "%s %s Tasks wait.", error, error.remedy, level=logging.ERROR)
        if self.comes_again(error):
            return
        raise self.retry(
            exc=error,
            countdown=full_jitter(self.request.retries + 2, base_seconds=1, cap_seconds=AWAY_CAP_SECONDS),
        )

    def comes_again(self, error: ActivationError) -> bool:  # noqa: ARG002  # for subclasses
        """Return whether the task is sent again anyway; if so, retries would only pile up while a service is away."""
        return False

    def refuse(self, error: UsageError) -> None:
        """Log a task that can never be done."""
        say_once(log, f"{self.name}:{error}", "%s: %s %s", self.name, error, error.remedy, level=logging.ERROR)

    def unforeseen(self, error: Exception) -> None:
        """Handle an error in our own code. By default do nothing: the next wake-up or chore takes over."""


class ChoreTask(ActivationTask):
    """Base of the tasks that beat sends every few seconds."""

    abstract = True

    def comes_again(self, error: ActivationError) -> bool:  # noqa: ARG002  # any error
        return True
