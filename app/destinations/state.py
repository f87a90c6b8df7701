"""Whether a destination delivers: enabled, paused by hand, in trouble, or stopped until someone mends it.

::

    enabled ──trouble (nobody answers)──► troubled ──a probe succeeds──► enabled
       │                                      │
       ├──broken (someone must act)──► stopped ──a probe succeeds──► enabled
       └──pause──► paused ──resume──► enabled        (resume also makes troubled and stopped probe at once)

While troubled or stopped, one worker at a time sends one call as a probe, ever less often. The backlog stays in the lanes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.backoff import full_jitter
from app.errors import CallError
from app.keys import DestinationKeys

if TYPE_CHECKING:
    from redis import Redis

    from app.settings import Settings

PROBE_LIFE_SECONDS = 150  # longer than the longest call


class Status(StrEnum):
    ENABLED = "enabled"
    PAUSED = "paused"
    TROUBLED = "troubled"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class State:
    """What an operator is shown. Times are epoch ms, 0 when they do not apply; `tries` counts failed probes."""

    status: Status = Status.ENABLED
    code: str = ""
    text: str = ""
    remedy: str = ""
    since_ms: int = 0
    tries: int = 0
    next_probe_ms: int = 0

    def wait_seconds(self, now_ms: int) -> float:
        """Until the next probe may go; 0 when it may go now."""
        return max(0, self.next_probe_ms - now_ms) / 1000

    @property
    def on_probation(self) -> bool:
        return self.status in (Status.TROUBLED, Status.STOPPED)


class StateStore:
    """Reads and changes the state of destinations."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        # nobody answers: it may pass by itself, so try often; someone must act: hardly ever
        self._delays = {
            Status.TROUBLED: (settings.retry_base_seconds, settings.retry_cap_seconds),
            Status.STOPPED: (settings.probe_base_seconds, settings.probe_cap_seconds),
        }

    def get(self, destination_id: str) -> State:
        raw: dict[bytes, bytes] = self._redis.hgetall(DestinationKeys(destination_id).state)  # type: ignore[assignment]
        text = {key.decode(): value.decode() for key, value in raw.items()}
        return State(
            status=Status(text.get("status", Status.ENABLED)),
            code=text.get("code", ""),
            text=text.get("text", ""),
            remedy=text.get("remedy", ""),
            since_ms=int(text.get("since_ms", 0)),
            tries=int(text.get("tries", 0)),
            next_probe_ms=int(text.get("next_probe_ms", 0)),
        )

    def pause(self, destination_id: str) -> None:
        self._put(destination_id, State(status=Status.PAUSED, code="paused", text="Paused by hand.",
            remedy=f"`activation resume {destination_id}` goes on.", since_ms=now_ms()))  # fmt: skip

    def enable(self, destination_id: str) -> None:
        """Deliver again, as after a successful probe."""
        self._put(destination_id, State(since_ms=now_ms()))

    def resume(self, destination_id: str) -> State:
        """End a pause; a destination on probation is probed at once instead. Returns the new state."""
        state = self.get(destination_id)
        if state.on_probation:
            self._redis.hset(DestinationKeys(destination_id).state, "next_probe_ms", 0)
        else:
            self.enable(destination_id)
        return self.get(destination_id)

    def trouble(self, destination_id: str, error: CallError, *, status: Status) -> State:
        """Note that a call failed for the destination as a whole, and when to probe next."""
        state = self.get(destination_id)
        if state.status is Status.PAUSED:
            return state
        again = state.status is status
        tries = state.tries + 1 if again else 1
        base, cap = self._delays[status]
        delay = full_jitter(tries + 1, base_seconds=base, cap_seconds=cap)
        state = State(
            status=status,
            code=error.code,
            text=str(error),
            remedy=error.remedy,
            since_ms=state.since_ms if again else now_ms(),
            tries=tries,
            next_probe_ms=now_ms() + int(max(delay, error.wait_seconds or 0) * 1000),
        )
        self._put(destination_id, state)
        return state

    def take_probe(self, destination_id: str, token: str) -> bool:
        """True for the one worker that may probe now."""
        return bool(self._redis.set(DestinationKeys(destination_id).probe, token, nx=True, ex=PROBE_LIFE_SECONDS))

    def end_probe(self, destination_id: str) -> None:
        self._redis.delete(DestinationKeys(destination_id).probe)

    def _put(self, destination_id: str, state: State) -> None:
        self._redis.hset(
            DestinationKeys(destination_id).state,
            mapping={
                "status": str(state.status),
                "code": state.code,
                "text": state.text,
                "remedy": state.remedy,
                "since_ms": state.since_ms,
                "tries": state.tries,
                "next_probe_ms": state.next_probe_ms,
            },
        )


def now_ms() -> int:
    return int(time.time() * 1000)
