"""The one place where the outcome of a task becomes ack, retry or pause, and where task arguments are kept from view."""

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
    """A request whose arguments are shown as its task wants them shown.

    A client that enqueues profiles writes them into the message's headers too (`kwargsrepr`); from there they would reach the
    log, the events, Flower and `celery inspect`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.task.shows_arguments:
            self._argsrepr, self._kwargsrepr = "(…)", "{…}"

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002  # remote control asks for the raw values
        return dict(super().info(safe=True))


class ActivationTask(Task):
    """Base of all tasks: runs, and turns what comes out into what Celery does next."""

    abstract = True
    Request = MaskedRequest
    # a wake-up's arguments are a destination and a lane number, which Flower is meant to show
    shows_arguments = True
    max_retries = None

    def __call__(self, *args: Any, **kwargs: Any) -> str | None:
        """Ack by returning; come back by `retry`. What is unexpected is logged without its text.

        What is returned is read in Flower's list and in the log: it names destination, lane and outcome.
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
            # its text may hold what was sent; Celery would put it into its log and its events
            log.exception("%s ended in an unexpected error.", self.name)
            self.unforeseen(error)
            return f"failed: {type(error).__name__}"
        return self.conclude(outcome, *args, **kwargs)

    def conclude(self, outcome: Any, *args: Any, **kwargs: Any) -> str | None:  # noqa: ARG002  # for tasks whose outcome is more
        """What is shown of a task that ended well."""
        return outcome if isinstance(outcome, str) else None

    def wait_for(self, error: ActivationError) -> None:
        """What this process works with is away, takes no writes, or is sealed with a key that it lacks: nothing is lost, try later."""
        say_once(log, f"{type(error).__name__}:{error}", "%s %s Tasks wait.", error, error.remedy, level=logging.ERROR)
        if self.comes_again(error):
            return
        raise self.retry(
            exc=error,
            countdown=full_jitter(self.request.retries + 2, base_seconds=1, cap_seconds=AWAY_CAP_SECONDS),
        )

    def comes_again(self, error: ActivationError) -> bool:  # noqa: ARG002  # for tasks that look at it
        """Whether it is sent again anyway. Retries would come on top of that, without end while something is away."""
        return False

    def refuse(self, error: UsageError) -> None:
        """The task can never be done."""
        say_once(log, f"{self.name}:{error}", "%s: %s %s", self.name, error, error.remedy, level=logging.ERROR)

    def unforeseen(self, error: Exception) -> None:
        """An error of our own. Nothing is lost by leaving a wake-up or a chore to the next one."""


class ChoreTask(ActivationTask):
    """What beat asks for every few seconds."""

    abstract = True

    def comes_again(self, error: ActivationError) -> bool:  # noqa: ARG002  # whatever it is
        return True
