"""The accounts that this process leads, and who leads the others; `app.delivery.lead` decides."""

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
from app.delivery.single_flight import SingleFlight
from app.event_loop import EVENT_LOOP
from app.keys import SPREAD_SECONDS, AccountKeys
from app.lua import write

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Limits

MOVE_GOOD_SECONDS = 1.0  # how long a decision for one lane holds for the others
KNOWN_SECONDS = 3.0  # a leader seen longer ago may be gone
HANDED_OVER_SECONDS = 30.0  # a lane that is back sooner was not taken by the leader, which may have died
LEAD_SHARE = 0.6  # of a lease: a dead process's lead ends before its lanes are free
CPU_SECONDS = 1.0  # the period that CPU use is measured over
PATIENCE_SECONDS = 3.0  # until a lead taken or given up shows in the load

log = logging.getLogger(__name__)


class Leads:
    """The leads of one process. It leads accounts between `begin` and `end`; outside, it works on whatever comes.

    `lease_seconds`: the life of a lane's lease; a lead, renewed once in a slice, is shorter.
    `lanes`: how many lanes the process works on at once.
    `calls_share`, `cpu_share`: return how much of its calls in flight, and of one core, is in use (0 to 1).
    """

    def __init__(
        self,
        redis: Redis,
        *,
        lease_seconds: float,
        lanes: int,
        calls_share: Callable[[], float],
        cpu_share: Callable[[], float],
    ) -> None:
        self._redis = redis
        self._process = ""
        self._lanes = lanes
        self._lead_seconds = LEAD_SHARE * lease_seconds
        self._calls_share = calls_share
        self._cpu_share = cpu_share
        self._lock = Lock()
        self._sessions: Counter[str] = Counter()  # sessions under way, by account
        self._leaders: dict[str, tuple[str, float]] = {}  # account -> (leader, when that was read)
        self._left: dict[str, float] = {}  # account -> when this process ceased to lead it
        self._handed_over: dict[tuple[str, int], float] = {}  # (destination, lane) -> when
        self._patient_until = 0.0
        self._moves: SingleFlight[Move] = SingleFlight(MOVE_GOOD_SECONDS)

    def begin(self, process: str) -> None:
        """Lead from now on; wake-ups can be sent to this process under the name `process`."""
        self._process = process

    def end(self) -> None:
        """Stop leading and let others lead at once. May be called from a signal handler."""
        process, self._process = self._process, ""
        if process:
            EVENT_LOOP.call(self._leave_all, process)

    @contextmanager
    def session(self, account: str) -> Iterator[None]:
        """Count a session at a lane of the account."""
        with self._lock:
            self._sessions[account] += 1
        try:
            yield
        finally:
            with self._lock:
                self._sessions[account] -= 1

    @property
    def sessions(self) -> int:
        """How many sessions are under way."""
        return self._sessions.total()

    async def stays(self, account: str, limits: Limits, lane: tuple[str, int], begun: float) -> bool:
        """Return whether a session continues in this process.

        `lane`: destination id and lane number. `begun`: when the session began (time.monotonic()).

        Raises: redis-py's errors.
        """
        process = self._process
        if not process or not may_be_led(limits):
            return True
        move = await self._moves.get(account, process, self._find_move, account, process)
        if move is not Move.HAND_OVER:
            return begun > self._left.get(account, float("-inf"))
        now = time.monotonic()
        if now - self._handed_over.get(lane, float("-inf")) < HANDED_OVER_SECONDS:
            return True
        self._handed_over[lane] = now
        return False

    def leader(self, account: str) -> str:
        """Return the process to which wake-ups of the account's lanes go; '' for any."""
        leader, seen_at = self._leaders.get(account, ("", 0.0))
        is_fresh = time.monotonic() - seen_at < KNOWN_SECONDS
        return leader if is_fresh and self._process and leader != EVERYBODY else ""

    # -- inside --------------------------------------------------------------------------------------------------------

    def _find_move(self, account: str, process: str) -> Move:
        key, now, lead_ms = AccountKeys(account).lead, time.monotonic(), int(self._lead_seconds * 1000)
        leader = self._read(key)
        self._note(account, leader, now)
        led = self._led_by(process, now)
        lanes = sum(self._sessions[name] for name in led) / self._lanes
        busy = Busy(lanes=lanes, calls=self._calls_share(), cpu=self._cpu_share())
        move = next_move(leader, process, busy, leads=len(led), patient=now < self._patient_until)
        match move:
            case Move.TAKE:
                write(self._redis, ("SET", key, process, "NX", "PX", lead_ms), keys=[key])
                leader = self._read(key)
                if leader not in (process, EVERYBODY):
                    move = Move.HAND_OVER
                elif self._process != process:  # this process has stopped leading meanwhile
                    self._redis.delete(key)
            case Move.KEEP:
                self._redis.pexpire(key, lead_ms)
            case Move.GIVE_UP:
                leader = ""
                self._redis.delete(key)
                log.info("Account %s is left to another worker: %s.", account, busy)
            case Move.SPREAD:
                leader = EVERYBODY
                write(self._redis, ("SET", key, EVERYBODY, "EX", SPREAD_SECONDS), keys=[key])
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
        """Return the accounts that `process` led when last read, ignoring reads that are too old."""
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
            with suppress(RedisError):  # the leads expire by themselves
                for key in keys:
                    if self._read(key) == process:
                        self._redis.delete(key)

        self._leaving = asyncio.ensure_future(EVENT_LOOP.in_thread(leave))


class Cpu:
    """How much of one core this process has used lately; Python computes on one at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._at, self._used, self._share = time.monotonic(), time.process_time(), 0.0

    def share(self) -> float:
        with self._lock:
            at, used = time.monotonic(), time.process_time()
            if at - self._at >= CPU_SECONDS:
                self._share = min(1.0, (used - self._used) / (at - self._at))
                self._at, self._used = at, used
            return self._share
