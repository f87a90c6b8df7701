"""Enqueueing from Python, and the one way into the lanes for everything except the HTTP intake::

    from app.producer import Producer

    producer = Producer.from_env()
    job_id = producer.enqueue("spring-campaign", profiles)

When `enqueue` returns, every profile is in its contact's lane (as durable as Redis is) or counted as excluded, with the
reason. A job is only a counter: further calls may add profiles under the same `job_id`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from app.chunks import bounded, named
from app.errors import SealBroken, UsageError
from app.files.records import Record
from app.ids import JOB_ID
from app.keys import DestinationKeys
from app.lanes.append import Appender, members_looked_at
from app.lanes.bounds import Readied, ready
from app.lanes.entries import BACKFILL, FORCE, REPLAY_JOB, Origin
from app.lua import write
from app.moments import read_moment
from app.resources import Resources
from app.settings import Settings
from app.storage import translated
from app.text import is_whole
from app.tracing import TRACES
from app.wake_ups import Waker

if TYPE_CHECKING:
    from app.lanes.failures import Failure, FailureStore
    from app.mapping.update import Excluded
    from app.sealing import KeyRing

PARTLY = "Profiles may be enqueued in part; the same call may be made again: repeats cost no call."


class Producer:
    """Appends profiles to the lanes of destinations. Safe to share between threads."""

    def __init__(self, resources: Resources, waker: Waker | None = None) -> None:
        self._r = resources
        self._waker = waker or Waker(resources)

    @classmethod
    def from_env(cls) -> Self:
        """Create a producer from the ACTIVATION_ variables.

        Needs ACTIVATION_REDIS_URL and ACTIVATION_SECRET_KEYS, or a stack that runs in ACTIVATION_HOME.

        Raises: `UsageError` for settings that are missing or wrong.
        """
        settings = Settings.from_env()
        if not settings.redis_url:
            from app.devstack.running import with_running_stack  # what starts servers is for who has named none

            settings = with_running_stack(settings)
        return cls(Resources.from_settings(settings))

    def enqueue(
        self,
        destination: str,
        profiles: Iterable[Any],
        *,
        occurred_at: datetime | str | int | None = None,
        job_id: str | None = None,
        backfill: bool = False,
        force: bool = False,
        repeat_id: str | None = None,
        source: str = "python",
    ) -> str:
        """Append profiles (JSON objects in XDM shape) to their contacts' lanes.

        A profile of several contacts (`several_identities: all`) counts as received once for each of them.

        `occurred_at`: the version of attributes whose profile carries none: a datetime with a time zone, RFC 3339 text, or
          epoch milliseconds. Default: now.
        `job_id`: the job to count under, 1 to 128 letters, digits and _ . : + -. Default: `repeat_id` (or its digest, if
          that is no valid job id), else a new id.
        `backfill`: deliver these profiles after all live updates.
        `force`: send values even if they were delivered before.
        `repeat_id`: any text that identifies this call. Repeating the call with the same profiles adds nothing.
        `source`: who began the job, as `activation jobs` shows it.

        Returns the job id.

        Raises: `UsageError` for a wrong argument, with its name and what to give instead, before anything is enqueued;
        `UnknownDestination`, which is one, also when the destination is disconnected during the call; `SealBroken` when no key opens
        the destination; `ServiceUnreachable` when Redis does not answer, `StorageRefuses` when it takes no more. After either of
        the last two, what was already appended stays and the whole call can be repeated.
        """
        _check_kinds(destination, profiles, repeat_id, source, backfill=backfill, force=force)
        occurred_at_ms = _version_ms(occurred_at)
        call = _call_id(repeat_id) if repeat_id else uuid4().hex
        job = call if job_id is None else job_id
        JOB_ID.check(job)

        flags = FORCE * force + BACKFILL * backfill
        began = time.perf_counter()
        with TRACES.enqueue(destination, job), translated(partly=PARTLY):
            appender = Appender(self._r, destination)
            appender.begin(job, {"source": source})
            members = members_looked_at(appender.destination)
            readied = ((None, ready(profile, members)) for profile in profiles)
            for chunk_id, items in named(call, bounded(readied, appender.contacts)):
                chunk = appender.sort((item, self._origin(job, occurred_at_ms, flags)) for _, item in items)
                self._waker.wake(destination, appender.append(chunk, job_id=job, chunk_id=chunk_id))
        self._r.measures.enqueued(destination, time.perf_counter() - began)
        self._r.measures.flush_when_due(self._r.redis, self._r.clock)
        return job

    def load(
        self,
        destination: str,
        records: Iterable[Record],
        exclude: Callable[[Record, Excluded], None],
        *,
        job_id: str,
        loaded: int,
        about: Mapping[str, str],
        occurred_at: datetime | str | int | None = None,
        backfill: bool = False,
        force: bool = False,
    ) -> int:
        """Append the records of files to a job, or continue one that was interrupted.

        The job's count of received records changes in the same step as the lanes, so it says where to continue.

        `exclude`: called with each excluded record and the reason, before the record is counted.
        `loaded`: how many records the job has received so far.
        `about`: fields stored with the job when it begins.

        Returns how many records the job has received now.

        Raises: as `enqueue`; `WorkHasProblems` when another process is loading the same job.
        """
        occurred_at_ms = _version_ms(occurred_at)
        flags = FORCE * force + BACKFILL * backfill
        call, received = uuid4().hex, loaded
        with translated(partly=PARTLY):
            appender = Appender(self._r, destination)
            appender.begin(job_id, about)
            members = members_looked_at(appender.destination)
            readied = (_readied(record, members) for record in records)
            for items in bounded(readied, appender.contacts):
                origins = ((item, self._origin(job_id, occurred_at_ms, flags)) for _, item in items)
                chunk = appender.sort(origins, received_before=received)
                for (record, _), excluded in zip(items, chunk.exclusions, strict=True):
                    if excluded is not None:
                        exclude(record, excluded)
                self._waker.wake(destination, appender.append(chunk, job_id=job_id, chunk_id=f"{call}:{received}"))
                received += len(items)
            keys = DestinationKeys(destination)
            write(
                self._r.redis, ("HSETNX", keys.job(job_id), "loaded", 1), keys=[keys.job(job_id)], only_with=keys.epoch
            )
        return received

    def replay(self, destination: str, store: FailureStore, failures: Iterable[Failure]) -> Replayed:
        """Enqueue failed profiles again, each in its original place in the order, and remove them from the store.

        Failures that no key opens stay in the store. If there is nothing to enqueue, no job begins.

        Raises: as `enqueue`.
        """
        job, count = f"{REPLAY_JOB}{uuid4().hex}", 0
        locked: list[str] = []
        with translated(partly=PARTLY):
            appender = Appender(self._r, destination)
            opened = _opened(failures, self._r.ring, destination, locked)
            for items in bounded(opened, appender.contacts):
                if not count:
                    appender.begin(job, {"source": "replay"})
                chunk = appender.sort((item, replace(failure.origin, job_id=job)) for failure, item in items)
                # the chunk's id is derived from its failures: replayed twice, they are enqueued once
                ids = [failure.id for failure, _ in items]
                chunk_id = f"replay:{blake2b(''.join(ids).encode(), digest_size=16).hexdigest()}"
                self._waker.wake(destination, appender.append(chunk, job_id=job, chunk_id=chunk_id))
                store.remove(ids)
                count += len(items)
        return Replayed(count, len(locked), job if count else "")

    def _origin(self, job: str, occurred_at_ms: int | None, flags: str) -> Origin:
        """Place a profile that arrives now in the order."""
        stamp_ms, number = self._r.clock.stamp()
        return Origin(job, stamp_ms if occurred_at_ms is None else occurred_at_ms, stamp_ms, number, flags, b"")


def _readied(record: Record, members: Iterable[str]) -> tuple[Record, Readied]:
    """Prepare a record for its lane; its profile is kept only inside the `Readied`, if it can wait in a lane at all."""
    readied = ready(record.profile, members) if record.reason is None else Readied(None, record.reason)
    return Record(record.number, None, record.reason, record.found, record.file), readied


def _opened(
    failures: Iterable[Failure], ring: KeyRing, destination: str, locked: list[str]
) -> Iterator[tuple[Failure, Readied]]:
    """Yield each failure with its profile; append the ids of those that no key opens to `locked`."""
    for failure in failures:
        try:
            yield failure, ready(failure.open(ring, destination))
        except SealBroken:
            locked.append(failure.id)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay.

    `count`: failures enqueued again. `locked`: failures kept because no key opens them. `job_id`: '' if nothing was
      enqueued.
    """

    count: int
    locked: int
    job_id: str


def _check_kinds(
    destination: object, profiles: object, repeat_id: object, source: object, *, backfill: object, force: object
) -> None:
    """Check the arguments' kinds. Raises: `UsageError`, which quotes none of them: any may be a profile in the wrong place."""
    # a single profile is iterable too, by keys or letters
    several = isinstance(profiles, Iterable) and not isinstance(profiles, Mapping | str | bytes | bytearray)
    for name, given, fits, remedy in (
        ("destination", destination, isinstance(destination, str), "Give the id of a connected destination."),
        ("profiles", profiles, several, "Give a list, or another iterable, of profiles; put a single one into a list."),
        ("repeat_id", repeat_id, repeat_id is None or isinstance(repeat_id, str), "Give text, or leave it out."),
        ("source", source, isinstance(source, str), "Give text, or leave it out."),
        ("backfill", backfill, isinstance(backfill, bool), "Give True or False."),
        ("force", force, isinstance(force, bool), "Give True or False."),
    ):
        if not fits:
            raise UsageError(f"{name}: is {type(given).__name__}.", remedy=remedy)
    if not is_whole(str(source)):
        raise UsageError("source: holds half of a character.", remedy="Give text that UTF-8 can carry.")


def _call_id(repeat_id: str) -> str:
    """Return the id under which a call is known, and its job by default: `repeat_id`, or its digest if it is no valid job id."""
    if JOB_ID.allows(repeat_id):
        return repeat_id
    return blake2b(repeat_id.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _version_ms(occurred_at: datetime | str | int | None) -> int | None:
    """Convert a time to epoch milliseconds; None stays None. Raises: `UsageError`."""
    if occurred_at is None:
        return None
    try:
        return read_moment(occurred_at)
    except ValueError as error:
        raise UsageError(
            f"occurred_at: {error}.",
            remedy="Give a datetime with a time zone, such as datetime.now(UTC), RFC 3339 text, or epoch milliseconds.",
        ) from None
