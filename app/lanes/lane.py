"""One lane of one destination: take it, read it, settle it, let it go.

The lease is fenced twice. Redis refuses to read or settle for anyone but the holder of the token; and the holder itself
stops sending once it cannot be sure any more to hold it (`may_send`), reckoned from before its last successful renewal.

The wake-up protocol, whose promise is that a lane with work is either held, or has a wake-up token and is about to be woken, or
found by the sweep: a producer appends and then, unless the lane is held or has a token, sets one and sends a wake-up; the woken worker
takes the lease and clears the token; letting go looks once more and sets it again if anything is left.

A lane works for one epoch of its destination (`app.destinations.store`). When the destination is connected with another account or
contact key, or disconnected, every script refuses the holder of the old epoch, which ends; what it had not settled is read again.
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
WINDOW_BYTES = 8_000_000  # of sealed profiles in one answer, and one more profile
_START = "0-0"
_LOST, _ENDED = -1, -2  # replies of the scripts


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read of a lane has found, raw.

    `recovered`: the entries of a worker that went away, each contact with all of its own. `deaths` is how many workers went
    while they had these contacts, `deaths_alone` how many had nothing else.
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
            read_entry(raw, backfill=backfill)
            for raws, backfill in ((self.live, False), (self.backfill, True))
            for raw in raws
        ]


class Lane:
    """A lane in the hands of this worker. Not for two threads at once, but for `may_send`.

    `epoch` is the destination's, `holdings` names the account and business unit that the delivered state is of.
    `margin_seconds` is how long before the end of its lease the holder starts nothing more: longer than a call needs to get out.
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
        self._numbers = count(1)  # of settlements
        self._cursor_live: bytes | str = _START
        self._cursor_backfill: bytes | str = _START

    def open(self) -> bool:
        """Take the lease; False when another worker has it. Raises `EpochEnded`."""
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
        """Whether a call may still be started; a margin is kept for clocks and for the start of the call itself."""
        return time.monotonic() < self._held_until - self._margin_seconds

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have it yet."""
        return time.monotonic() < self._held_until

    # What a session does is a step, whose reply raises `LeaseLost` or `EpochEnded` when nothing was done.

    @property
    def renewal_is_due(self) -> bool:
        """Whether a third of the lease is used."""
        return time.monotonic() >= self._held_until - self._lease_seconds * 2 / 3

    def renewing(self) -> Step[None]:
        """Keep the lease."""
        asked = time.monotonic()

        def read(kept: int) -> None:
            self._kept(asked, reply=1 if kept == 1 else _LOST)

        return Step("app.lanes", "renew", [self._keys.lease], [self.token, self._lease_ms], read)

    def reading(self, *, live: int, backfill: int) -> Step[Batch]:
        """Up to `live` entries, or when there are none up to `backfill`, after those read before."""
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
            "app.lanes", "read",
            [
                keys.lease, keys.live, keys.backfill, keys.later, keys.parked, keys.window, keys.recovery, keys.crashes,
                self._destination.epoch,
            ],
            [
                self.token, self._lease_ms, self._epoch, self._cursor_live, self._cursor_backfill, live, backfill,
                WINDOW_BYTES,
            ],
            read,
        )  # fmt: skip

    def waiting(self, *, most: int) -> list[Entry]:
        """The oldest entries of both streams, without taking them into a window."""
        found: list[Entry] = []
        for key, backfill in ((self._keys.live, False), (self._keys.backfill, True)):
            raws: Any = self._redis.xrange(key, count=most)
            found += [read_fields(*raw, backfill=backfill) for raw in raws]
        return found

    def delivered(self, tags: Sequence[bytes]) -> Step[Mapping[bytes, bytes | None]]:
        """The delivered rows of these contacts, of which there is one at least."""
        return Step("", "HMGET", [self._delivered], tags, lambda rows: dict(zip(tags, rows, strict=True)))

    def settling(self, settlement: Settlement, *, hour: int) -> Step[None]:
        """Write a settlement into the run of this hour."""
        asked = time.monotonic()
        keys, destination = self._keys, self._destination
        streams = [destination.lane(lane).stream(backfill=backfill) for lane, backfill in settlement.targets()]
        return Step(
            "app.lanes", "settle",
            [
                keys.lease, keys.live, keys.backfill, keys.later, keys.parked, keys.window, keys.recovery,
                keys.settled, self._delivered, destination.failures, destination.failed, destination.run(hour),
                destination.epoch, *streams, *(destination.job(job_id) for job_id in settlement.jobs),
            ],
            [
                self.token, self._lease_ms, self._epoch, next(self._numbers), RUN_LIFE_SECONDS, JOB_LIFE_SECONDS,
                *settlement.arguments(),
            ],
            lambda reply: self._kept(asked, reply=reply),
        )  # fmt: skip

    def release(self, *, wake_up_seconds: float, wake_up_token: str = ANY_WAKE_UP) -> bool:
        """Let go. True when entries are left and the caller must send the wake-up, whose token is set."""
        keys = self._keys
        reply = script(self._redis, "app.lanes", "release")(
            keys=[keys.lease, keys.wake, keys.live, keys.backfill, keys.window],
            args=[self.token, int(wake_up_seconds * 1000), wake_up_token],
        )
        self._held_until = 0.0
        return bool(reply == 1)

    def abandon(self, *, wake_up_seconds: float, blame: bool) -> bool:
        """Let go without knowing what became of the last steps; with `blame`, because of what an entry made this worker do.

        To be called when no call is in flight any more. True when the caller must send the wake-up.
        """
        keys = self._keys
        self._held_until = 0.0
        reply = script(self._redis, "app.lanes", "abandon")(
            keys=[keys.lease, keys.wake, keys.window, keys.recovery, keys.crashes, keys.live, keys.backfill],
            args=[self.token, int(wake_up_seconds * 1000), int(blame)],
        )
        return bool(reply == 1)

    def postpone(self, wake_up_token: str, new_token: str, *, wake_up_seconds: float) -> bool:
        """For a wake-up that cannot work now: True when it shall come back, False when another one will."""
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
    """Mark those of the lanes that sleep on work; the caller sends their wake-ups."""
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
    """The lane of a contact, by its tag."""
    return int.from_bytes(tag[:2]) % LANES
