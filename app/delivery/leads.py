"""The accounts that this process leads, and who leads the others (`app.delivery.lead` decides)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.delivery.lead import EVERYBODY, Busy, Move, may_be_led, next_move
from app.delivery.looks import Looks
from app.event_loop import EVENT_LOOP
from app.keys import SPREAD_SECONDS, AccountKeys

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Limits

LOOK_SECONDS = 1.0  # what one lane has found is good for the others
CPU_SECONDS = 1.0  # it is measured over
PATIENCE_SECONDS = 3.0  # until a lead that was taken or given up shows in what there is to do

log = logging.getLogger(__name__)


class Leads:
    """Of one process, which works at up to `lanes` at once. `calls_share` tells how much of its calls in flight is in use, `cpu_share`
    how much of a core, each from 0 to 1.

    A lead ends `lead_seconds` after its leader's last look: with the lanes' own leases, if it died.
    From `begin` to `end` this process may lead; before, it works at whatever comes.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        lead_seconds: float,
        lanes: int,
        calls_share: Callable[[], float],
        cpu_share: Callable[[], float],
    ) -> None:
        self._redis = redis
        self._process = ""
        self._lanes = lanes
        self._lead_seconds, self._lead_ms = lead_seconds, int(lead_seconds * 1000)
        self._calls_share = calls_share
        self._cpu_share = cpu_share
        self._lock = Lock()
        self._sessions: Counter[str] = Counter()  # under way, by account
        self._leaders: dict[str, tuple[str, float]] = {}  # account -> who led it, and when that was seen
        self._left: dict[str, float] = {}  # account -> when this process ceased to lead it
        self._patient_until = 0.0
        self._looks: Looks[Move] = Looks(LOOK_SECONDS)

    def begin(self, process: str) -> None:
        """Wake-ups can be sent to this process by that name."""
        self._process = process

    def end(self) -> None:
        """Have others lead. May be called by a handler of signals."""
        process, self._process = self._process, ""
        if process:
            EVENT_LOOP.call(self._leave_all, process)

    @contextmanager
    def session(self, account: str) -> Iterator[None]:
        """A session at a lane of the account."""
        with self._lock:
            self._sessions[account] += 1
        try:
            yield
        finally:
            with self._lock:
                self._sessions[account] -= 1

    @property
    def sessions(self) -> int:
        """How many are under way."""
        return self._sessions.total()

    async def stays(self, account: str, limits: Limits, begun: float) -> bool:
        """Whether a session that began then (time.monotonic()) goes on in this process. Raises redis-py's errors."""
        if not self._process or not may_be_led(limits):
            return True
        move = await self._looks.get(account, self._process, self._look, account, self._process)
        return move is not Move.HAND_OVER and begun > self._left.get(account, float("-inf"))

    def leader(self, account: str) -> str:
        """The process to which wake-ups of the account's lanes go; '' when any will do."""
        leader, seen_at = self._leaders.get(account, ("", 0.0))
        is_fresh = time.monotonic() - seen_at < self._lead_seconds  # else it may be gone
        return leader if is_fresh and self._process and leader != EVERYBODY else ""

    # -- inside --------------------------------------------------------------------------------------------------------

    def _look(self, account: str, process: str) -> Move:
        key, now = AccountKeys(account).lead, time.monotonic()
        leader = self._read(key)
        self._note(account, leader, now)
        led = self._led_by(process, now)
        lanes = sum(self._sessions[name] for name in led) / self._lanes
        busy = Busy(lanes=lanes, calls=self._calls_share(), cpu=self._cpu_share())
        move = next_move(leader, process, busy, leads=len(led), patient=now < self._patient_until)
        match move:
            case Move.TAKE:
                other: bytes | None = self._redis.set(key, process, nx=True, get=True, px=self._lead_ms)  # type: ignore[assignment]
                leader = other.decode() if other else process
                if leader not in (process, EVERYBODY):
                    move = Move.HAND_OVER
            case Move.KEEP:
                self._redis.pexpire(key, self._lead_ms)
            case Move.GIVE_UP:
                leader = ""
                self._redis.delete(key)
                log.info("Account %s is left to another worker: %s.", account, busy)
            case Move.SPREAD:
                leader = EVERYBODY
                self._redis.set(key, EVERYBODY, px=SPREAD_SECONDS * 1000)
                log.info("Account %s needs more than one worker: %s.", account, busy)
        if move in (Move.GIVE_UP, Move.SPREAD):
            self._left[account] = now
        if move in (Move.TAKE, Move.GIVE_UP, Move.SPREAD):
            self._patient_until = now + PATIENCE_SECONDS
        self._note(account, leader, now)
        return move

    def _note(self, account: str, leader: str, now: float) -> None:
        with self._lock:
            self._leaders[account] = (leader, now)

    def _led_by(self, process: str, now: float) -> list[str]:
        """The accounts that it led when they were last looked at, unless that is too long ago."""
        with self._lock:
            return [
                name for name, (who, at) in self._leaders.items() if who == process and now - at < self._lead_seconds
            ]

    def _read(self, key: str) -> str:
        leader: bytes | None = self._redis.get(key)  # type: ignore[assignment]  # redis-py gives it too wide a type
        return leader.decode() if leader else ""

    def _leave_all(self, process: str) -> None:
        keys = [AccountKeys(account).lead for account in self._led_by(process, time.monotonic())]

        def leave() -> None:
            with suppress(RedisError):  # they end by themselves
                for key in keys:
                    if self._read(key) == process:
                        self._redis.delete(key)

        self._leaving = asyncio.ensure_future(EVENT_LOOP.in_thread(leave))


class Cpu:
    """How much of one core this process has used of late: Python computes on one at a time."""

    def __init__(self) -> None:
        self._at, self._used, self._share = time.monotonic(), time.process_time(), 0.0

    def share(self) -> float:
        at, used = time.monotonic(), time.process_time()
        if at - self._at >= CPU_SECONDS:
            self._share = min(1.0, (used - self._used) / (at - self._at))
            self._at, self._used = at, used
        return self._share
