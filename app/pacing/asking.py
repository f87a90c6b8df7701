"""Decides when a gate asks for starts, sleeps, or gives back what it holds. Pure; `app.pacing.gate` carries it out."""

from __future__ import annotations

from dataclasses import dataclass

TICK_SECONDS = 0.1  # between two questions while anybody waits
SOON_SECONDS = 0.02  # for a destination that has just arrived
REPORT_SECONDS = 1.0  # between two reports; each is sent at once where calls are made singly
HOLD_SECONDS = 5.0  # until a paused account is asked again: an operator may have ended the wait
RETRY_SECONDS = 1.0  # while Redis is away, and after an unexpected error
IDLE_SECONDS = 2.0  # between the last call and giving everything back


@dataclass(frozen=True, slots=True)
class Needs:
    """What the gate has to do.

    `waits`: lanes wait at the gate. `in_flight`: calls are in flight, whose permits must be renewed at `renew_at`. `tells`:
      there is something to report to the account.
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
    """Sleep: there is nothing to ask for this long, unless somebody comes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Give back what is held, since there has been nothing to ask for a while."""


Command = Ask | Sleep | GiveBack


@dataclass(frozen=True, slots=True)
class Question:
    """How to ask. `urgent`: see `AccountPace.ask`. `tells`: report what was observed, instead of keeping it for later."""

    urgent: bool
    tells: bool


class Asking:
    """Decides when to ask from what has happened at the gate. Times are those of time.monotonic()."""

    def __init__(self) -> None:
        self._ask_at = self._asked_at = 0.0
        self._report_at = 0.0
        self._held_until = 0.0
        self._idle_since: float | None = None
        self._urgent = False  # a destination without a start has arrived
        self._careful = False  # from a refusal until an accepted call is reported
        self._closing = False

    def next_command(self, needs: Needs, now: float) -> Command:
        """Return what to do next. Call it again after each event, question and sleep."""
        if needs.waits or needs.in_flight or self._idle_since is None:
            self._idle_since = now
        due = self._due(needs)
        if due is None:
            rests_at = self._idle_since + (0.0 if self._closing else IDLE_SECONDS)
            if now < rests_at:
                return Sleep(rests_at - now)
            self._idle_since = None
            return GiveBack()
        if due <= now:
            self._idle_since = None
            return Ask()
        if needs.in_flight:  # there may be something to report by then: the end of a call is no event
            due = min(due, now + REPORT_SECONDS)
        return Sleep(due - now)

    def _due(self, needs: Needs) -> float | None:
        """Return when to ask next; None for not at all. If nobody waits, ask only to report or to renew permits in use."""
        if needs.waits:
            return max(self._ask_at, self._held_until)
        due = []
        if needs.tells:
            due.append(0.0 if self._closing else self._report_at)
        if needs.in_flight:
            due.append(needs.renew_at)
        return max(self._ask_at, min(due)) if due else None

    def is_paused(self, now: float) -> bool:
        """Return whether the account has to be left alone."""
        return now < self._held_until

    @property
    def is_closing(self) -> bool:
        return self._closing

    # -- events --------------------------------------------------------------------------------------------------------

    def newcomer(self) -> None:
        """Ask soon, because a destination has come for which there is no start."""
        self._urgent = True
        self._ask_at = min(self._ask_at, self._asked_at + SOON_SECONDS)

    def begin(self, now: float, *, live: bool) -> Question:
        """Note that a question is asked. `live`: some of the waiting calls are not backfill."""
        question = Question(
            urgent=self._urgent and live, tells=self._careful or self._closing or now >= self._report_at
        )
        self._urgent = False
        self._asked_at = now
        if question.tells:
            self._report_at = now + REPORT_SECONDS
        return question

    def told_accepted(self) -> None:
        """Note that the account was told of an accepted call."""
        self._careful = False

    def answered(self, now: float, *, waits: bool, given: int, wait_seconds: float) -> None:
        """Note that `given` starts came at `now`; if none, ask again after `wait_seconds`.

        `waits`: lanes waited when it was asked.
        """
        if self._urgent:  # a destination has arrived since
            self._ask_at = now + SOON_SECONDS
        elif waits:
            self._ask_at = now + max(TICK_SECONDS, 0.0 if given else min(wait_seconds, HOLD_SECONDS))

    def paused(self, seconds: float, now: float) -> None:
        """Leave the account alone for `seconds`."""
        self._careful = True
        self._held_until = now + min(seconds, HOLD_SECONDS)

    def failed(self, now: float) -> None:
        """Note that no answer came."""
        self._ask_at = now + RETRY_SECONDS

    def close(self) -> None:
        """Keep nothing that others could use: the process is ending."""
        self._closing = True
