"""One lane of one destination: take it, read it, settle it, let it go.

The lease is fenced twice: Redis refuses to read or settle for anyone but the holder of the token, and the holder stops
sending when it can no longer be sure to hold the lease (`may_send`), counted from before its last successful renewal.

The wake-up protocol promises that a lane with work is held, or has a wake-up token and is about to be woken, or is found by
the sweep. A producer appends; then, unless the lane is held or has a token, it sets one and sends a wake-up. The woken
worker takes the lease and clears the token. Letting go checks once more and sets a new token if anything is left.

A lane works for one epoch of its destination (`app.destinations.store`). When the destination is connected with another
account or contact key, or disconnected, every script refuses the holder of the old epoch. Its session ends, and what it had
not settled is read again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from app.errors import EpochEnded, LeaseLost
from app.keys import JOB_LIFE_SECONDS, LANES, RUN_LIFE_SECONDS, DestinationKeys
from app.lanes.entries import Entry, read_entry, read_fields
from app.lua import script
from app.round_trips import Step

if TYPE_CHECKING:
    from redis import Redis

    from app.lanes.settlement import Settlement

ANY_WAKE_UP = "1"
WINDOW_BYTES = 8_000_000  # of sealed profiles in one reply; the last profile may exceed it
_START = "0-0"
_LOST, _ENDED = -1, -2  # replies of the scripts


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read of a lane found, raw.

    `recovered`: these are entries of a worker that died, with all entries of each contact. `deaths`: how many workers died
      while they had these contacts; `deaths_alone`: how many of those had nothing else.
    """

    now_ms: int
    recovered: bool
    deaths: int
    deaths_alone: int
    live: list[Any]
    backfill: list[Any]

    @property
    def size(self) -> int:
        return len(self.live) + len(self.backfill)

    def entries(self) -> list[Entry]:
        return [
            read_entry(raw, backfill=backfill, recovered=self.recovered)
            for raws, backfill in ((self.live, False), (self.backfill, True))
            for raw in raws
        ]


class Lane:
    """A lane in the hands of this worker. Not for two threads at once, except `may_send`.

    `epoch`: the destination's. `holdings`: names the account and business unit that the delivered state belongs to.
      `margin_seconds`: how long before the lease ends the holder starts nothing more; longer than a call needs to be sent.
    """

    def __init__(
        self,
        redis: Redis,
        destination_id: str,
        number: int,
        *,
        epoch: str,
        holdings: str,
        lease_seconds: float,
        margin_seconds: float,
    ) -> None:
        self.destination_id = destination_id
        self.number = number
        self.token = token_hex(8)
        self._destination = DestinationKeys(destination_id)
        self._keys = self._destination.lane(number)
        self._delivered = self._keys.delivered(holdings)
        self._epoch = epoch
        self._redis = redis
        self._lease_seconds = lease_seconds
        self._margin_seconds = margin_seconds
        self._held_until = 0.0
        self._numbers = count(1)  # numbers of settlements
        self._cursor_live: bytes | str = _START
        self._cursor_backfill: bytes | str = _START

    def open(self) -> bool:
        """Take the lease. Returns False if another worker has it. Raises: `EpochEnded`."""
        asked = time.monotonic()
        keys = self._keys
        reply = script(self._redis, "app.lanes", "open")(
            keys=[keys.lease, keys.wake, keys.window, keys.recovery, keys.crashes, self._destination.epoch],
            args=[self.token, self._lease_ms, self._epoch],
        )
        if reply == _LOST:
            raise EpochEnded(self.destination_id)
        if reply == 1:
            self._held_until = asked + self._lease_seconds
        return bool(reply == 1)

    def may_send(self) -> bool:
        """Return whether a call may still be started; the margin allows for clocks and for the start of the call itself."""
        return time.monotonic() < self._held_until - self._margin_seconds

    @property
    def is_held(self) -> bool:
        """Whether no other worker can have the lease yet."""
        return time.monotonic() < self._held_until

    # A session works in steps. Reading a step's reply raises `LeaseLost` or `EpochEnded` if nothing was done.

    @property
    def renewal_is_due(self) -> bool:
        """Whether a third of the lease has passed."""
        return time.monotonic() >= self._held_until - self._lease_seconds * 2 / 3

    def renewing(self) -> Step[None]:
        """Return the step that renews the lease."""
        asked = time.monotonic()

        def read(kept: int) -> None:
            self._kept(asked, reply=1 if kept == 1 else _LOST)

        return Step("app.lanes", "renew", [self._keys.lease], [self.token, self._lease_ms], read)

    def reading(self, *, live: int, backfill: int) -> Step[Batch]:
        """Return the step that reads up to `live` live entries or, if there are none, up to `backfill` backfill ones."""
        asked = time.monotonic()
        keys = self._keys

        def read(reply: Any) -> Batch:
            head, *rest = reply
            self._kept(asked, reply=head)
            recovered, deaths, deaths_alone, live_entries, backfill_entries = rest
            if not recovered:
                if live_entries:
                    self._cursor_live = live_entries[-1][0]
                if backfill_entries:
                    self._cursor_backfill = backfill_entries[-1][0]
            return Batch(head, bool(recovered), deaths, deaths_alone, live_entries, backfill_entries)

        return Step(
            "app.lanes",
            "read",
            [
                keys.lease,
                keys.live,
                keys.backfill,
                keys.later,
                keys.parked,
                keys.window,
                keys.recovery,
                keys.crashes,
                self._destination.epoch,
            ],
            [
                self.token,
                self._lease_ms,
                self._epoch,
                self._cursor_live,
                self._cursor_backfill,
                live,
                backfill,
                WINDOW_BYTES,
            ],
            read,
        )

    def waiting(self, *, most: int) -> list[Entry]:
        """Return the oldest entries of both streams, without taking them into a window."""
        found: list[Entry] = []
        for key, backfill in ((self._keys.live, False), (self._keys.backfill, True)):
            raws: Any = self._redis.xrange(key, count=most)
            found += [read_fields(*raw, backfill=backfill) for raw in raws]
        return found

    def recovering(self) -> set[bytes]:
        """Return the tags of contacts that a worker had which is gone, and that were not read again yet."""
        found: Any = self._redis.hvals(self._keys.recovery)
        return set(found)

    def delivered(self, tags: Sequence[bytes]) -> Step[Mapping[bytes, bytes | None]]:
        """Return the step that reads the delivered rows of these contacts; `tags` must not be empty."""
        return Step("", "HMGET", [self._delivered], tags, lambda rows: dict(zip(tags, rows, strict=True)))

    def settling(self, settlement: Settlement, *, hour: int) -> Step[None]:
        """Return the step that writes a settlement, and its counts into the run of this hour."""
        asked = time.monotonic()
        keys, destination = self._keys, self._destination
        streams = [destination.lane(lane).stream(backfill=backfill) for lane, backfill in settlement.targets()]
        return Step(
            "app.lanes",
            "settle",
            [
                keys.lease,
                keys.live,
                keys.backfill,
                keys.later,
                keys.parked,
                keys.window,
                keys.recovery,
                keys.settled,
                self._delivered,
                destination.failures,
                destination.failed,
                destination.run(hour),
                destination.epoch,
                *streams,
                *(destination.job(job_id) for job_id in settlement.jobs),
            ],
            [
                self.token,
                self._lease_ms,
                self._epoch,
                next(self._numbers),
                RUN_LIFE_SECONDS,
                JOB_LIFE_SECONDS,
                *settlement.arguments(),
            ],
            lambda reply: self._kept(asked, reply=reply),
        )

    def release(self, *, wake_up_seconds: float, wake_up_token: str = ANY_WAKE_UP) -> bool:
        """Let go. Returns True if entries are left: the token is set and the caller must send the wake-up."""
        keys = self._keys
        reply = script(self._redis, "app.lanes", "release")(
            keys=[keys.lease, keys.wake, keys.live, keys.backfill, keys.window],
            args=[self.token, int(wake_up_seconds * 1000), wake_up_token],
        )
        self._held_until = 0.0
        return bool(reply == 1)

    def abandon(self, *, wake_up_seconds: float, blame: bool) -> bool:
        """Let go without knowing the result of the last steps. Call it only when no call is in flight any more.

        `blame`: an entry made this worker fail.

        Returns True if the caller must send the wake-up.
        """
        keys = self._keys
        self._held_until = 0.0
        reply = script(self._redis, "app.lanes", "abandon")(
            keys=[
                keys.lease,
                keys.wake,
                keys.window,
                keys.recovery,
                keys.crashes,
                keys.live,
                keys.backfill,
                self._destination.epoch,
            ],
            args=[self.token, int(wake_up_seconds * 1000), int(blame)],
        )
        return bool(reply == 1)

    def postpone(self, wake_up_token: str, new_token: str, *, wake_up_seconds: float) -> bool:
        """Put off a wake-up that cannot work now. Returns True if it is to come back, False if another one will."""
        reply = script(self._redis, "app.lanes", "postpone")(
            keys=[self._keys.wake], args=[wake_up_token, new_token, int(wake_up_seconds * 1000)]
        )
        return bool(reply == 1)

    @property
    def _lease_ms(self) -> int:
        return int(self._lease_seconds * 1000)

    def _kept(self, asked: float, *, reply: int) -> None:
        if reply == _LOST:
            self._held_until = 0.0
            raise LeaseLost(f"Lane {self.number} of {self.destination_id} was taken over by another worker.")
        self._held_until = asked + self._lease_seconds
        if reply == _ENDED:
            raise EpochEnded(self.destination_id)


def announce_wake_ups(redis: Redis, destination_id: str, lanes: Iterable[int], *, wake_up_seconds: float) -> list[int]:
    """Set the wake-up token of those lanes that have work and nobody to do it, and return them; the caller sends the wake-ups."""
    destination = DestinationKeys(destination_id)
    numbers = list(lanes)
    call = script(redis, "app.lanes", "announce")
    with redis.pipeline(transaction=False) as pipeline:
        for number in numbers:
            keys = destination.lane(number)
            call(
                keys=[keys.lease, keys.wake, keys.live, keys.backfill, keys.later],
                args=[int(wake_up_seconds * 1000)],
                client=pipeline,
            )
        replies = pipeline.execute()
    return [number for number, reply in zip(numbers, replies, strict=True) if reply == 1]


def lane_of(tag: bytes) -> int:
    """Return the lane of the contact with this tag."""
    return int.from_bytes(tag[:2]) % LANES
