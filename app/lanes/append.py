"""Putting profiles into the lanes of one destination: sealed, each behind the tag of its contact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import EpochEnded, WorkHasProblems
from app.keys import CHUNK_LIFE_SECONDS, JOB_LIFE_SECONDS, RUN_LIFE_SECONDS, DestinationKeys
from app.lanes import counters
from app.lanes.bounds import Readied
from app.lanes.delivered import contact_tag
from app.lanes.entries import BACKFILL, FORCE, Origin
from app.lanes.lane import lane_of
from app.lua import script
from app.mapping.contact_key import ContactKeys, tell_namespaces
from app.mapping.update import Excluded, Reason
from app.memory import RESERVE
from app.storage import full

if TYPE_CHECKING:
    from app.clock import RedisClock
    from app.destinations.model import Destination
    from app.destinations.store import Connected
    from app.resources import Resources
    from app.sealing import KeyRing

MOST_BYTES_OF_CONTACTS = 8_000_000  # one profile sealed once for each of its contacts
MOST_DETAILS = 100  # kinds of exclusion that the run of one hour tells apart; their words come from outside in part
_EPOCH_ENDED, _FULL, _ELSEWHERE = -1, -2, -3  # replies of append.lua
# whose places the run tells apart
_TOLD = (Reason.MISSING_CONTACT_KEY, Reason.AMBIGUOUS_CONTACT_KEY, Reason.MALFORMED_PROFILE)
_UNREADABLE = "what was sent cannot be read as a profile"
_NOTHING: Mapping[str, str] = {}


class Chunk:
    """Profiles on their way into lanes, with the reasons of those that have none. `received` counts both, and a profile of several
    contacts once for each of them; `more` is how many that is beyond the profiles.

    `received_before` is how many profiles the job must have received before this chunk; -1 for any. `details` are the places of
    exclusions, for the run.
    """

    def __init__(self) -> None:
        self.streams: dict[tuple[int, bool], list[list[bytes | str | int]]] = {}  # of a lane, live or backfill
        self.excluded: Counter[str] = Counter()
        self.details: Counter[tuple[str, str]] = Counter()
        self.received = 0
        self.more = 0
        self.received_before = -1

    def exclude(self, excluded: Excluded) -> Excluded:
        self.received += 1
        self.excluded[excluded.reason] += 1
        told = excluded.detail if excluded.reason in _TOLD else ""
        self.details[excluded.reason, told] += 1
        return excluded


class Appender:
    """Appends to one destination as it is connected now; when it is connected anew, `append` raises `EpochEnded`."""

    def __init__(self, resources: Resources, connected: Connected) -> None:
        self._id = connected.destination.id
        self._keys = DestinationKeys(self._id)
        self._epoch = connected.epoch
        self._pepper = connected.pepper
        self._ring = resources.ring
        self._clock: RedisClock = resources.clock
        self._redis = resources.redis
        self._contact_keys = ContactKeys(connected.destination)
        self._wake_up_ms = int(resources.settings.wake_up_seconds * 1000)

    def place(
        self, chunk: Chunk, readied: Readied, job_id: str, occurred_at_ms: int | None, *, force: bool, backfill: bool
    ) -> Excluded | None:
        """Seal one profile into its lane, or count and return why it has none."""
        stamp_ms, number = self._clock.stamp()
        occurred = stamp_ms if occurred_at_ms is None else occurred_at_ms
        flags = FORCE * force + BACKFILL * backfill
        return self.place_again(chunk, readied, Origin(job_id, occurred, stamp_ms, number, flags, b""))

    def place_again(self, chunk: Chunk, readied: Readied, origin: Origin) -> Excluded | None:
        """The same for one that has its place in the order already."""
        if isinstance(readied.json, Reason):
            return chunk.exclude(
                Excluded(readied.json, _UNREADABLE if readied.json is Reason.MALFORMED_PROFILE else "")
            )
        contacts = self._contact_keys.split(readied.profile)
        if isinstance(contacts, Excluded):
            return chunk.exclude(tell_namespaces(contacts, readied.profile))
        if len(contacts) > 1 and len(contacts) * readied.size > MOST_BYTES_OF_CONTACTS:
            return chunk.exclude(Excluded(Reason.TOO_LARGE, "for as many contacts as it has"))
        chunk.received += len(contacts)
        chunk.more += len(contacts) - 1
        for key, profile in contacts:
            clear = readied.json if profile is readied.profile else orjson.dumps(profile)
            tag = contact_tag(key, self._pepper)
            stream = chunk.streams.setdefault((lane_of(tag), origin.backfill), [])
            stream.append(seal_origin(clear, origin, tag, self._id, self._ring))
        return None

    def append(
        self, chunk: Chunk, *, job_id: str, chunk_id: str, about: Mapping[str, str] = _NOTHING,
        chunk_life_seconds: int = CHUNK_LIFE_SECONDS,
    ) -> set[int]:  # fmt: skip
        """One step in Redis. Returns the lanes that need a wake-up. For `chunk_life_seconds`, the same chunk adds nothing.

        `about` are words that tell of the job; those that it has stay. Raises `EpochEnded`, `StorageRefuses`, and
        `WorkHasProblems` when the job has not received what it must have; then nothing of the chunk is in its lanes.
        """
        keys = self._keys
        hour = self._clock.now_ms() // 3_600_000
        names = [keys.epoch, keys.chunk(chunk_id), keys.job(job_id), keys.jobs, keys.run(hour)]
        args: list[Any] = [
            self._epoch, chunk_life_seconds, JOB_LIFE_SECONDS, RUN_LIFE_SECONDS, self._wake_up_ms, job_id,
            chunk.received, RESERVE, chunk.received_before, chunk.more, MOST_DETAILS, len(about),
        ]  # fmt: skip
        for name, word in about.items():
            args += [name, word]
        args.append(len(chunk.excluded))
        for reason, count in chunk.excluded.items():
            args += [reason, count]
        args.append(len(chunk.details))
        for (reason, told), count in chunk.details.items():
            args += [counters.why(reason), counters.why(reason, told), count]
        streams = list(chunk.streams)
        for number, backfill in streams:
            lane = keys.lane(number)
            names += [lane.stream(backfill=backfill), lane.wake, lane.lease]
            args.append(len(chunk.streams[number, backfill]))
            for fields in chunk.streams[number, backfill]:
                args += [len(fields), *fields]
        head, *positions = script(self._redis, "app.lanes", "append")(keys=names, args=args)
        if head == _EPOCH_ENDED:
            raise EpochEnded(self._id)
        if head == _FULL:
            raise full()
        if head == _ELSEWHERE:
            raise WorkHasProblems(
                f"Job {job_id} is gone on with elsewhere.",
                remedy="Let the other command end; `activation job` counts both.",
            )
        return {streams[position - 1][0] for position in positions}


def members_looked_at(destination: Destination) -> tuple[str, ...]:
    """The members of a profile in which its contact key is looked for."""
    rows = [row for row in destination.mapping if row.target.kind == "contact_key"]
    sources = [source for row in rows for source in row.sources if source.kind != "const"]
    roots = {"identityMap" if source.kind == "identity" else str(source.path[0]) for source in sources}
    return tuple(name for root in sorted(roots) for name in (root, f"xdm:{root}"))


def seal_origin(
    clear: bytes, origin: Origin, tag: bytes, destination_id: str, ring: KeyRing
) -> list[bytes | str | int]:
    """The stream fields of a profile (JSON) for the contact of this tag."""
    # dataclasses.replace takes as long as the sealing
    bound = Origin(origin.job_id, origin.occurred_at_ms, origin.stamp_ms, origin.stamp_number, origin.flags, tag)
    return bound.fields(ring.seal(clear, bound.purpose(destination_id)))
