"""Whether a destination delivers: enabled, paused by hand, degraded, or stopped until somebody fixes the cause.

::

    enabled ──trouble (nobody answers)──► degraded ──a probe succeeds──► enabled
       │                                      │
       ├──broken (someone must act)──► stopped ──a probe succeeds──► enabled
       └──pause──► paused ──resume──► enabled        (resume also makes degraded and stopped probe at once)

While degraded or stopped, one worker at a time sends one call as a probe, ever less often. The backlog stays in the lanes.
Every change is one step in Redis that checks the current state (`state.lua`), by Redis's clock.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from app.keys import DestinationKeys
from app.lua import script

if TYPE_CHECKING:
    from redis import Redis

    from app.errors import CallError
    from app.settings import Settings

UNREADABLE = "unreadable"  # shown instead of a status if no key opens the destination
PROBE_LIFE_SECONDS = 150  # longer than the longest call


class Status(StrEnum):
    ENABLED = "enabled"
    PAUSED = "paused"
    DEGRADED = "degraded"
    STOPPED = "stopped"

    @classmethod
    def _missing_(cls, value: object) -> Status | None:
        """Read the word that an earlier build used for degraded; `state.lua` reads it too."""
        return cls.DEGRADED if value == "troubled" else None


@dataclass(frozen=True, slots=True)
class State:
    """What an operator is shown. Times are epoch milliseconds, 0 if they do not apply.

    `tries`: failed probes. `generation`: distinguishes states with the same words. `wait_seconds`: how long the next probe
      still had to wait when this was read.
    """

    status: Status = Status.ENABLED
    code: str = ""
    text: str = ""
    remedy: str = ""
    since_ms: int = 0
    tries: int = 0
    next_probe_ms: int = 0
    generation: int = 0
    probing: bool = False
    wait_seconds: float = 0.0

    @property
    def on_probation(self) -> bool:
        return self.status in (Status.DEGRADED, Status.STOPPED)


class StateStore:
    """Reads and changes the state of destinations."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        # nobody answers: it may pass by itself, so try often; somebody must act: try rarely
        self._delays = {
            Status.DEGRADED: (settings.retry_base_seconds, settings.retry_cap_seconds),
            Status.STOPPED: (settings.probe_base_seconds, settings.probe_cap_seconds),
        }

    def get(self, destination_id: str) -> State:
        return self._ask(destination_id, "read")[0]

    def status(self, destination_id: str) -> Status:
        """Return the status alone. Only reads, for callers that may do no more."""
        found: Any = self._redis.hget(DestinationKeys(destination_id).state, "status")
        return Status((found or b"enabled").decode())

    def pause(self, destination_id: str) -> State:
        """Stop delivering; a probe under way no longer counts."""
        return self._ask(destination_id, "pause")[0]

    def resume(self, destination_id: str) -> State:
        """End a pause; a destination on probation is probed at once instead. Returns the new state."""
        return self._ask(destination_id, "resume")[0]

    def fail(
        self, destination_id: str, error: CallError, *, status: Status, generation: int, probe: str = ""
    ) -> tuple[State, bool]:
        """Note that a call failed for the destination as a whole, and when to probe next.

        `generation`: of the state with which the session began. `probe`: the token, if the session was a probe.

        Returns the state, and whether this was news; it is not if others have seen the same trouble or an operator has
        acted since.
        """
        base, cap = self._delays[status]
        return self._ask(
            destination_id,
            "fail",
            probe,
            generation,
            str(status),
            error.code,
            str(error),
            error.remedy,
            int((error.wait_seconds or 0) * 1000),
            random.random(),  # noqa: S311  # jitter, not a secret
            base * 1000,
            cap * 1000,
        )

    def take_probe(self, destination_id: str, token: str) -> tuple[State, bool]:
        """Ask to probe now. Returns the state, and True for the one worker that may."""
        return self._ask(destination_id, "probe", token, PROBE_LIFE_SECONDS * 1000)

    def succeed(self, destination_id: str, probe: str) -> bool:
        """Deliver again after a successful probe. Returns False if the probe no longer counts."""
        return self._ask(destination_id, "succeed", probe)[1]

    def leave_probe(self, destination_id: str, probe: str) -> None:
        """Give up a probe that found nothing out, such as one of an empty lane; another may be taken at once."""
        self._ask(destination_id, "leave", probe)

    def _ask(self, destination_id: str, act: str, *more: str | float) -> tuple[State, bool]:
        keys = DestinationKeys(destination_id)
        reply: Any = script(self._redis, "app.destinations", "state")(keys=[keys.state, keys.epoch], args=[act, *more])
        now_ms, done, flat = reply
        fields = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
        next_probe_ms = int(fields.get("next_probe_ms", 0))
        state = State(
            status=Status(fields.get("status", Status.ENABLED)),
            code=fields.get("code", ""),
            text=fields.get("text", ""),
            remedy=fields.get("remedy", ""),
            since_ms=int(fields.get("since_ms", 0)),
            tries=int(fields.get("tries", 0)),
            next_probe_ms=next_probe_ms,
            generation=int(fields.get("generation", 0)),
            probing=int(fields.get("probe_until_ms", 0)) > now_ms,
            wait_seconds=max(0, next_probe_ms - now_ms) / 1000,
        )
        if state.status is Status.PAUSED:
            state = replace(
                state, code="paused", text="Paused by hand.", remedy=f"`activation resume {destination_id}` goes on."
            )
        return state, bool(done)
