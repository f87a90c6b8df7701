"""When a gate asks for starts, sleeps, and gives back what it holds. Pure; `app.pacing.gate` carries it out."""

from __future__ import annotations

from dataclasses import dataclass

TICK_SECONDS = 0.1  # between two questions, while anybody waits
SOON_SECONDS = 0.02  # for a destination that has just come
REPORT_SECONDS = 1.0  # between two reports of what was observed; where calls are made singly, each is told at once
HOLD_SECONDS = 5.0  # until an account that has to be left alone is asked again: an operator may have ended the wait
RETRY_SECONDS = 1.0  # while Redis is away, and after an unexpected error
IDLE_SECONDS = 2.0  # after the last call, until everything is given back


@dataclass(frozen=True, slots=True)
class Load:
    """`waits`: lanes wait at the gate. `in_flight`: there are calls in flight; their permits have to be renewed at `renew_at`.
    `tells`: there is something to tell the account.
    """

    waits: bool
    in_flight: bool
    tells: bool
    renew_at: float


# -- commands ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask now."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """There is nothing to ask for this long, unless somebody comes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveBack:
    """There has been nothing to ask for a while: give back what is held."""


Command = Ask | Sleep | GiveBack


@dataclass(frozen=True, slots=True)
class Question:
    """How to ask: whether it is `urgent`, and whether to tell what was observed (`tells`) or keep it for later."""

    urgent: bool
    tells: bool


class Asking:
    """What has happened at the gate that decides when to ask. Times are of time.monotonic()."""

    def __init__(self) -> None:
        self._ask_at = self._asked_at = 0.0
        self._report_at = 0.0
        self._held_until = 0.0
        self._idle_since: float | None = None
        self._urgent = False  # a destination has come for which there is no start
        self._careful = False  # after a refusal, until a call was accepted and told
        self._closing = False

    def next_command(self, load: Load, now: float) -> Command:
        """What to do next. To be asked again after each event, question and sleep."""
        if load.waits or load.in_flight or self._idle_since is None:
            self._idle_since = now
        due = self._due(load)
        if due is None:
            rests_at = self._idle_since + (0.0 if self._closing else IDLE_SECONDS)
            if now < rests_at:
                return Sleep(rests_at - now)
            self._idle_since = None
            return GiveBack()
        if due <= now:
            self._idle_since = None
            return Ask()
        if load.in_flight:  # there may be something to tell by then: the end of a call is no event
            due = min(due, now + REPORT_SECONDS)
        return Sleep(due - now)

    def _due(self, load: Load) -> float | None:
        """When to ask next. While nobody waits, only to tell what was observed or to renew permits in use; None: for neither."""
        if load.waits:
            return max(self._ask_at, self._held_until)
        due = []
        if load.tells:
            due.append(0.0 if self._closing else self._report_at)
        if load.in_flight:
            due.append(load.renew_at)
        return max(self._ask_at, min(due)) if due else None

    def is_paused(self, now: float) -> bool:
        """Whether the account has to be left alone."""
        return now < self._held_until

    @property
    def is_closing(self) -> bool:
        return self._closing

    # -- events --------------------------------------------------------------------------------------------------------

    def newcomer(self) -> None:
        """A destination has come for which there is no start: ask soon."""
        self._urgent = True
        self._ask_at = min(self._ask_at, self._asked_at + SOON_SECONDS)

    def begin(self, now: float, *, live: bool) -> Question:
        """A question is asked; `live`: some of the calls that wait are no backfill."""
        question = Question(
            urgent=self._urgent and live, tells=self._careful or self._closing or now >= self._report_at
        )
        self._urgent = False
        self._asked_at = now
        if question.tells:
            self._report_at = now + REPORT_SECONDS
        return question

    def told_accepted(self) -> None:
        """The account knows of a call that was accepted."""
        self._careful = False

    def answered(self, now: float, *, waits: bool, given: int, wait_seconds: float) -> None:
        """`given` starts came at `now`; if none, ask again after `wait_seconds`. `waits`: lanes waited when it was asked."""
        if self._urgent:  # by a destination that has come since
            self._ask_at = now + SOON_SECONDS
        elif waits:
            self._ask_at = now + max(TICK_SECONDS, 0.0 if given else min(wait_seconds, HOLD_SECONDS))

    def paused(self, seconds: float, now: float) -> None:
        """The account has to be left alone for this long."""
        self._careful = True
        self._held_until = now + min(seconds, HOLD_SECONDS)

    def failed(self, now: float) -> None:
        """There was no answer."""
        self._ask_at = now + RETRY_SECONDS

    def close(self) -> None:
        """The process ends: nothing that others could use is kept from now on."""
        self._closing = True
