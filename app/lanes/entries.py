"""One waiting profile as it lies in a lane: an entry of a Redis stream, its profile sealed.

Fields of the stream entry, short because each waiting profile pays for them: `j` job id, `o` the job's `occurred_at` in ms
or nothing, `f` flags, `p` the sealed profile; and for an entry that was parked or is replayed `a` its first arrival in ms,
`n` the tries behind it, `t` the time of the first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import SealBroken
from app.sealing import KeyRing

FORCE = "x"  # send even what is delivered already
REPLAYED = "r"  # yields to what arrived since


def purpose(destination_id: str) -> bytes:
    """What a sealed profile is bound to: it opens for its own destination only."""
    return b"profile:" + destination_id.encode()


@dataclass(frozen=True, slots=True)
class Entry:
    """A waiting profile, opened. `profile` is None when no key opens it."""

    id: bytes
    backfill: bool
    job_id: str
    occurred_at_ms: int
    arrived_at_ms: int
    force: bool
    attempts: int
    first_tried_at_ms: int
    sealed: bytes
    profile: Any
    returned: bool  # it was parked or replayed: on equal versions, what arrived since wins

    def parked_fields(self, now_ms: int) -> list[bytes | str | int]:
        """The stream fields of this entry after one more try."""
        return [
            "j", self.job_id, "o", self.occurred_at_ms, "f", FORCE if self.force else "", "p", self.sealed,
            "a", self.arrived_at_ms, "n", self.attempts + 1, "t", self.first_tried_at_ms or now_ms,
        ]  # fmt: skip


def read_entry(raw: list[Any], *, backfill: bool, ring: KeyRing, seal_purpose: bytes) -> Entry:
    """An entry from Redis' reply `[id, [field, value, …]]`."""
    entry_id, pairs = raw
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    arrived = int(fields.get(b"a") or entry_id.partition(b"-")[0])
    sealed = fields[b"p"]
    try:
        profile = orjson.loads(ring.open(sealed, seal_purpose))
    except SealBroken:
        profile = None
    return Entry(
        id=entry_id,
        backfill=backfill,
        job_id=fields[b"j"].decode(),
        occurred_at_ms=int(fields[b"o"]) if fields[b"o"].isdigit() else arrived,
        arrived_at_ms=arrived,
        force=FORCE.encode() in fields[b"f"],
        attempts=int(fields.get(b"n", 0)),
        first_tried_at_ms=int(fields.get(b"t", 0)),
        sealed=sealed,
        profile=profile,
        returned=b"a" in fields or REPLAYED.encode() in fields[b"f"],
    )
