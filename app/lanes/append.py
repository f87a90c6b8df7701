"""Appends profiles to the lanes of a destination: each sealed, and labelled with the tag of its contact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import EpochEnded, WorkHasProblems
from app.keys import CHUNK_LIFE_SECONDS, JOB_LIFE_SECONDS, RUN_LIFE_SECONDS, DestinationKeys
from app.lanes import counters
from app.lanes.bounds import Readied
from app.lanes.delivered import contact_tag
from app.lanes.entries import Origin
from app.lanes.lane import lane_of
from app.lua import script
from app.mapping.contact_key import ContactKeys, tell_namespaces
from app.mapping.update import Excluded, Reason
from app.memory import RESERVE
from app.moments import hour_of
from app.storage import full

if TYPE_CHECKING:
    from app.clock import RedisClock
    from app.destinations.model import Destination
    from app.resources import Resources
    from app.sealing import KeyRing

MOST_BYTES_OF_CONTACTS = 8_000_000  # of one profile, sealed once for each of its contacts
MOST_DETAILS = 100  # kinds of exclusion that one hour's run distinguishes; part of their text comes from outside
_EPOCH_ENDED, _FULL, _ELSEWHERE = -1, -2, -3  # replies of append.lua
# the exclusions whose details the run distinguishes
_TOLD = (Reason.MISSING_CONTACT_KEY, Reason.AMBIGUOUS_CONTACT_KEY, Reason.MALFORMED_PROFILE)
_UNREADABLE = "what was sent cannot be read as a profile"
_NOTHING: Mapping[str, str] = {}


class Chunk:
    """Profiles with their places in the order, sorted into lanes.

    `exclusions`: for each profile, why it has no lane, or None. `details`: the kinds of exclusion, for the run.
    `received` counts a profile of several contacts once for each of them; `more` is the surplus over the number of
    profiles.
    `received_before`: how many profiles the job must have received before this chunk; -1 for any number.
    """

    def __init__(self, items: Iterable[tuple[Readied, Origin]], received_before: int) -> None:
        self.items = list(items)
        self.received_before = received_before
        self.clear()

    def clear(self) -> None:
        """Forget the sorting."""
        self.streams: dict[tuple[int, bool], list[list[bytes | str | int]]] = {}  # by (lane, backfill)
        self.exclusions: list[Excluded | None] = []
        self.excluded: Counter[str] = Counter()
        self.details: Counter[tuple[str, str]] = Counter()
        self.received = 0
        self.more = 0

    def exclude(self, excluded: Excluded) -> Excluded:
        self.received += 1
        self.excluded[excluded.reason] += 1
        told = excluded.detail if excluded.reason in _TOLD else ""
        self.details[excluded.reason, told] += 1
        return excluded


class Appender:
    """Appends to one destination. For one thread.

    If the destination is reconnected meanwhile, profiles may belong to other lanes, so they are sorted again.
    """

    def __init__(self, resources: Resources, destination_id: str) -> None:
        """Connect to the destination. Raises: `UnknownDestination`; `SealBroken`."""
        self._id = destination_id
        self._keys = DestinationKeys(destination_id)
        self._destinations = resources.destinations
        self._ring = resources.ring
        self._clock: RedisClock = resources.clock
        self._redis = resources.redis
        self._wake_up_ms = int(resources.settings.wake_up_seconds * 1000)
        self._connect()

    def _connect(self) -> None:
        connected = self._destinations.connected(self._id)
        self.destination = connected.destination
        self.pepper = connected.pepper
        self._epoch = connected.epoch
        self._contact_keys = ContactKeys(connected.destination)

    def contacts(self, profile: Any) -> int:
        """Return how many entries a profile becomes; 1 for one that is excluded."""
        return self._contact_keys.count(profile)

    def sort(self, items: Iterable[tuple[Readied, Origin]], *, received_before: int = -1) -> Chunk:
        """Seal each profile for its lane, or note why it has none."""
        chunk = Chunk(items, received_before)
        self._sort(chunk)
        return chunk

    def _sort(self, chunk: Chunk) -> None:
        chunk.clear()
        for readied, origin in chunk.items:
            chunk.exclusions.append(self._place(chunk, readied, origin))

    def _place(self, chunk: Chunk, readied: Readied, origin: Origin) -> Excluded | None:
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
            tag = contact_tag(key, self.pepper)
            stream = chunk.streams.setdefault((lane_of(tag), origin.backfill), [])
            stream.append(seal_origin(clear, origin, tag, self._id, self._ring))
        return None

    def begin(self, job_id: str, about: Mapping[str, str]) -> None:
        """Register a job before anything is appended: an empty job that can be found is better than one that cannot."""
        self.append(Chunk((), -1), job_id=job_id, chunk_id=f"{job_id}:begun", about=about)

    def append(
        self,
        chunk: Chunk,
        *,
        job_id: str,
        chunk_id: str,
        about: Mapping[str, str] = _NOTHING,
        chunk_life_seconds: int = CHUNK_LIFE_SECONDS,
    ) -> set[int]:
        """Append a chunk in one step in Redis. The same chunk id adds nothing again for `chunk_life_seconds`.

        `about`: fields that describe the job; those already stored stay.

        Returns the lanes that need a wake-up.

        Raises: `UnknownDestination` if the destination was disconnected; `StorageRefuses`; `WorkHasProblems` if the job has
        not received exactly `received_before`. Nothing of the chunk is appended then.
        """
        while True:
            try:
                return self._append(chunk, job_id, chunk_id, about, chunk_life_seconds)
            except EpochEnded:
                self._connect()
                self._sort(chunk)

    def _append(
        self, chunk: Chunk, job_id: str, chunk_id: str, about: Mapping[str, str], chunk_life_seconds: int
    ) -> set[int]:
        keys = self._keys
        hour = hour_of(self._clock.now_ms())
        names = [keys.epoch, keys.chunk(chunk_id), keys.job(job_id), keys.jobs, keys.run(hour)]
        args: list[Any] = [
            self._epoch,
            chunk_life_seconds,
            JOB_LIFE_SECONDS,
            RUN_LIFE_SECONDS,
            self._wake_up_ms,
            job_id,
            chunk.received,
            RESERVE,
            chunk.received_before,
            chunk.more,
            MOST_DETAILS,
            len(about),
        ]
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
                f"Job {job_id} is being continued elsewhere.",
                remedy="Let the other command end; `activation job` counts both.",
            )
        return {streams[position - 1][0] for position in positions}


def members_looked_at(destination: Destination) -> tuple[str, ...]:
    """Return the members of a profile in which its contact key is looked up."""
    rows = [row for row in destination.mapping if row.target.kind == "contact_key"]
    sources = [source for row in rows for source in row.sources if source.kind != "const"]
    roots = {"identityMap" if source.kind == "identity" else str(source.path[0]) for source in sources}
    return tuple(name for root in sorted(roots) for name in (root, f"xdm:{root}"))


def seal_origin(
    clear: bytes, origin: Origin, tag: bytes, destination_id: str, ring: KeyRing
) -> list[bytes | str | int]:
    """Return the stream fields of a profile (`clear`: its JSON) for the contact with this tag."""
    # not dataclasses.replace, which takes as long as the sealing
    bound = Origin(origin.job_id, origin.occurred_at_ms, origin.stamp_ms, origin.stamp_number, origin.flags, tag)
    return bound.fields(ring.seal(clear, bound.purpose(destination_id)))
