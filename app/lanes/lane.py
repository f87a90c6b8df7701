"""One lane of one destination: take it, read it, settle it, let it go.

The lease is fenced twice. Redis refuses to read or settle for anyone but the holder of the token; and the holder itself
stops sending once it cannot be sure any more to hold it (`may_send`), reckoned from before its last successful renewal.

The wake-up protocol, whose promise is that a lane with work is either held, or marked and about to be woken, or found by
the sweep: a producer appends and then, unless the lane is held or marked, marks it and sends a wake-up; the woken worker
takes the lease and clears the mark; letting go looks once more and marks the lane again if anything is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from app.errors import LeaseLost
from app.keys import JOB_LIFE_SECONDS, RUN_LIFE_SECONDS, DestinationKeys
from app.lanes.entries import Entry, purpose, read_entry
from app.lua import script

if TYPE_CHECKING:
    from redis import Redis

    from app.sealing import KeyRing

PLAIN_MARK = "1"
_START = "0-0"


@dataclass(frozen=True, slots=True)
class Read:
    """What one look into a lane found, raw.

    `crashes` > 0: these entries are suspected of killing their worker, which died so often while it had them, and
    `crashes_alone` times while it had nothing else.
    """

    now_ms: int
    crashes: int
    crashes_alone: int
    live: list[Any]
    backfill: list[Any]


@dataclass(slots=True)
class Settlement:
    """What is to be written when entries leave the lane; filled up by the delivery, written in one step."""

    live_ids: list[bytes] = field(default_factory=list)
    backfill_ids: list[bytes] = field(default_factory=list)
    delivered: dict[bytes, bytes] = field(default_factory=dict)
    parked: list[tuple[int, Sequence[bytes | str | int]]] = field(default_factory=list)
    failures: list[tuple[str, int, bytes]] = field(default_factory=list)
    run: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, dict[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.live_ids) + len(self.backfill_ids)

    def count(self, counter: str, amount: int = 1) -> None:
        self.run[counter] = self.run.get(counter, 0) + amount

    def count_job(self, job_id: str, counter: str) -> None:
        counters = self.jobs.setdefault(job_id, {})
        counters[counter] = counters.get(counter, 0) + 1


class Lane:
    """A lane in the hands of this worker. Not for two threads at once, but for `may_send`."""

    def __init__(self, redis: Redis, destination_id: str, number: int, *, lease_seconds: float) -> None:
        self.destination_id = destination_id
        self.number = number
        self.token = token_hex(8)
        self._destination = DestinationKeys(destination_id)
        self._keys = self._destination.lane(number)
        self._redis = redis
        self._lease_seconds = lease_seconds
        self._lease_ms = int(lease_seconds * 1000)
        self._held_until = 0.0
        self._cursor_live: bytes | str = _START
        self._cursor_backfill: bytes | str = _START

    def open(self) -> bool:
        """Take the lease; False when another worker has it."""
        asked = time.monotonic()
        keys = self._keys
        taken = script(self._redis, "app.lanes", "open")(
            keys=[keys.lease, keys.wake, keys.window, keys.suspects], args=[self.token, self._lease_ms]
        )
        if taken == 1:
            self._held_until = asked + self._lease_seconds
        return bool(taken == 1)

    def may_send(self) -> bool:
        """Whether a call may still be started; a margin is kept for clocks and for the start of the call itself."""
        return time.monotonic() < self._held_until - self._lease_seconds / 5

    def renew_when_due(self) -> None:
        """Renew the lease once a third of it is used. Raises `LeaseLost`."""
        if time.monotonic() < self._held_until - self._lease_seconds * 2 / 3:
            return
        asked = time.monotonic()
        kept = script(self._redis, "app.lanes", "renew")(keys=[self._keys.lease], args=[self.token, self._lease_ms])
        self._kept(asked, held=kept == 1)

    def read(self, *, live: int, backfill: int) -> Read:
        """Up to `live` entries, or when there are none up to `backfill`, after those read before."""
        asked = time.monotonic()
        keys = self._keys
        now_ms, *rest = script(self._redis, "app.lanes", "read")(
            keys=[keys.lease, keys.live, keys.backfill, keys.later, keys.parked, keys.window, keys.suspects],
            args=[self.token, self._lease_ms, self._cursor_live, self._cursor_backfill, live, backfill],
        )
        self._kept(asked, held=now_ms != -1)
        crashes, crashes_alone, live_entries, backfill_entries = rest
        if not crashes:
            if live_entries:
                self._cursor_live = live_entries[-1][0]
            if backfill_entries:
                self._cursor_backfill = backfill_entries[-1][0]
        return Read(now_ms, crashes, crashes_alone, live_entries, backfill_entries)

    def waiting(self, ring: KeyRing, *, most: int) -> list[Entry]:
        """The oldest entries of both streams, opened, without taking them into a window."""
        found: list[Entry] = []
        for key, backfill in ((self._keys.live, False), (self._keys.backfill, True)):
            raws: Any = self._redis.xrange(key, count=most)
            # the client returns pairs of id and dict here, not Redis' flat reply
            for entry_id, fields in raws:
                flat = [part for pair in fields.items() for part in pair]
                found.append(
                    read_entry(
                        [entry_id, flat], backfill=backfill, ring=ring, seal_purpose=purpose(self.destination_id)
                    )
                )
        return found

    def delivered(self, tags: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        """The delivered rows of these contacts."""
        if not tags:
            return {}
        rows: Any = self._redis.hmget(self._keys.delivered, list(tags))
        return dict(zip(tags, rows, strict=True))

    def settle(self, settlement: Settlement) -> None:
        """Write a settlement. Raises `LeaseLost`, and then nothing of it was written."""
        asked = time.monotonic()
        keys, destination = self._keys, self._destination
        hour = int(time.time() // 3600)
        jobs = list(settlement.jobs)
        args: list[bytes | str | int] = [self.token, self._lease_ms, token_hex(8), RUN_LIFE_SECONDS, JOB_LIFE_SECONDS]
        _section(args, ((entry_id,) for entry_id in settlement.live_ids), len(settlement.live_ids))
        _section(args, ((entry_id,) for entry_id in settlement.backfill_ids), len(settlement.backfill_ids))
        _section(args, settlement.delivered.items(), len(settlement.delivered))
        _section(args, ((due, len(row), *row) for due, row in settlement.parked), len(settlement.parked))
        _section(args, settlement.failures, len(settlement.failures))
        _section(args, settlement.run.items(), len(settlement.run))
        for job in jobs:
            _section(args, settlement.jobs[job].items(), len(settlement.jobs[job]))
        reply = script(self._redis, "app.lanes", "settle")(
            keys=[
                keys.lease, keys.live, keys.backfill, keys.later, keys.parked, keys.window, keys.suspects,
                keys.settled, keys.delivered, destination.failures, destination.failed, destination.run(hour),
                *(destination.job(job) for job in jobs),
            ],
            args=args,
        )  # fmt: skip
        self._kept(asked, held=reply != -1)

    def release(self, *, mark_seconds: float, mark: str = PLAIN_MARK) -> bool:
        """Let go. True when entries are left and the caller must send the wake-up, for which the lane is marked."""
        keys = self._keys
        reply = script(self._redis, "app.lanes", "release")(
            keys=[keys.lease, keys.wake, keys.live, keys.backfill, keys.window],
            args=[self.token, int(mark_seconds * 1000), mark],
        )
        self._held_until = 0.0
        return bool(reply == 1)

    def postpone(self, mark: str, new_mark: str, *, mark_seconds: float) -> bool:
        """For a wake-up that cannot work now: True when it shall come back, False when another one will."""
        reply = script(self._redis, "app.lanes", "postpone")(
            keys=[self._keys.wake], args=[mark, new_mark, int(mark_seconds * 1000)]
        )
        return bool(reply == 1)

    def _kept(self, asked: float, *, held: bool) -> None:
        if not held:
            self._held_until = 0.0
            raise LeaseLost(f"Lane {self.number} of {self.destination_id} was taken over by another worker.")
        self._held_until = asked + self._lease_seconds


def rouse(redis: Redis, destination_id: str, lanes: Iterable[int], *, wake_mark_seconds: float) -> list[int]:
    """Mark those of the lanes that sleep on work; the caller sends their wake-ups."""
    destination = DestinationKeys(destination_id)
    numbers = list(lanes)
    call = script(redis, "app.lanes", "rouse")
    with redis.pipeline(transaction=False) as pipeline:
        for number in numbers:
            keys = destination.lane(number)
            call(
                keys=[keys.lease, keys.wake, keys.live, keys.backfill, keys.later],
                args=[int(wake_mark_seconds * 1000)],
                client=pipeline,
            )
        replies = pipeline.execute()
    return [number for number, reply in zip(numbers, replies, strict=True) if reply == 1]


def _section(args: list[bytes | str | int], rows: Iterable[Sequence[Any]], count: int) -> None:
    args.append(count)
    for row in rows:
        args.extend(row)
