"""One waiting profile in a lane: an entry of a Redis stream whose profile is sealed.

The stream entry's fields have short names because every waiting profile pays for them:

====  ==============================================================================================================
`j`   job id
`o`   version in ms of attributes for which the profile gives no time
`s`   stamp: when it was enqueued, in ms by the clock of Redis, a dash, and a number that tells it from others of that ms
`f`   flags: `x` send even what is delivered already, `b` backfill
`c`   tag of its contact, so that entries of one contact can be told without opening them
`p`   the profile, sealed; the fields above are authenticated with it
`n`   tries so far, `t` time of the first one (ms); only after trouble
====  ==============================================================================================================

A sealed profile opens only with exactly the fields it was sealed with, and for its own destination. So somebody who can
write to Redis but has no key can drop or delay a profile, but cannot change it or make it look newer than it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import SealBroken
from app.lanes.merge import Stamp
from app.sealing import KeyRing

REPLAY_JOB = "replay-"  # prefix of the ids of jobs that are replays
FORCE = "x"
BACKFILL = "b"
_BEYOND = 1 << 63


@dataclass(frozen=True, slots=True)
class Origin:
    """What is fixed when a profile is enqueued, and kept through parking, failure and replay."""

    job_id: str
    occurred_at_ms: int
    stamp_ms: int
    stamp_number: int
    flags: str
    tag: bytes

    @property
    def force(self) -> bool:
        return FORCE in self.flags

    @property
    def backfill(self) -> bool:
        return BACKFILL in self.flags

    @property
    def stamp(self) -> Stamp:
        return Stamp(not self.backfill, self.stamp_ms, self.stamp_number)

    def purpose(self, destination_id: str) -> bytes:
        """Return what the sealed profile is bound to."""
        bound = f"profile:{destination_id}\0{self.job_id}\0{self.occurred_at_ms}\0{self.stamp_ms}-{self.stamp_number}\0{self.flags}\0"
        return bound.encode() + self.tag

    def fields(self, sealed: bytes) -> list[bytes | str | int]:
        """Return the stream entry: names and values in turn."""
        return [
            "j",
            self.job_id,
            "o",
            self.occurred_at_ms,
            "s",
            f"{self.stamp_ms}-{self.stamp_number}",
            "f",
            self.flags,
            "c",
            self.tag,
            "p",
            sealed,
        ]


@dataclass(frozen=True, slots=True)
class Entry:
    """A waiting profile.

    `backfill`: whether it was read from that stream. `sealed`: the sealed profile. `recovered`: a worker that is gone had it, and may
      have called with it.
    """

    id: bytes
    backfill: bool
    origin: Origin
    attempts: int
    first_tried_at_ms: int
    sealed: bytes
    recovered: bool = False

    @property
    def job_id(self) -> str:
        return self.origin.job_id

    @property
    def enqueued_ms(self) -> int:
        """When it was enqueued, in epoch milliseconds.

        For a replay, which keeps its original stamp, and for an entry no producer wrote: when it was appended.
        """
        if self.origin is not _FOREIGN and not self.job_id.startswith(REPLAY_JOB):
            return self.origin.stamp_ms
        return int(self.id.partition(b"-")[0])

    def open(self, ring: KeyRing, destination_id: str) -> Any:
        """Return the profile. Raises: `SealBroken`, with `tampered` if its key is known and it still does not open."""
        if self.origin is _FOREIGN:
            raise SealBroken("A waiting profile", tampered=True)
        clear = ring.open(self.sealed, self.origin.purpose(destination_id))
        try:
            return orjson.loads(clear)
        except orjson.JSONDecodeError:
            raise SealBroken("A waiting profile", tampered=True) from None

    def parked_fields(self, now_ms: int) -> list[bytes | str | int]:
        """Return the stream fields of this entry after one more try."""
        return [*self.origin.fields(self.sealed), "n", self.attempts + 1, "t", self.first_tried_at_ms or now_ms]


def read_entry(raw: list[Any], *, backfill: bool, recovered: bool = False) -> Entry:
    """Read an entry from a script's reply `[id, [field, value, …]]` without opening it. See `read_fields`."""
    entry_id, pairs = raw
    return read_fields(
        entry_id, dict(zip(pairs[::2], pairs[1::2], strict=True)), backfill=backfill, recovered=recovered
    )


def read_fields(entry_id: bytes, fields: Mapping[bytes, bytes], *, backfill: bool, recovered: bool = False) -> Entry:
    """Read an entry as redis-py returns it, without opening it.

    An entry that lacks a field, or has one that is no number or a number of more than 63 bits, was not written by a
    producer; it is read as one that does not open.
    """
    try:
        stamp_ms, _, number = fields[b"s"].partition(b"-")
        origin = Origin(
            job_id=fields[b"j"].decode(),
            occurred_at_ms=_number(fields[b"o"], least=-_BEYOND),
            stamp_ms=_number(stamp_ms),
            stamp_number=_number(number),
            flags=fields[b"f"].decode(),
            tag=fields[b"c"],
        )
        attempts, first_tried_at_ms = _number(fields.get(b"n", b"0")), _number(fields.get(b"t", b"0"))
    except (KeyError, ValueError):
        origin, attempts, first_tried_at_ms = _FOREIGN, 0, 0
    return Entry(entry_id, backfill, origin, attempts, first_tried_at_ms, fields.get(b"p", b""), recovered)


def _number(text: bytes, *, least: int = 0) -> int:
    """Read a number. Raises: `ValueError`, also for a number that no reply of ours could hold."""
    number = int(text)
    if not least <= number < _BEYOND:
        raise ValueError
    return number


_FOREIGN = Origin(job_id="", occurred_at_ms=0, stamp_ms=0, stamp_number=0, flags="", tag=b"")
