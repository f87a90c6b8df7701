"""Enqueueing profiles, from any Python service::

    from app.producer import Producer

    producer = Producer.from_env()
    job_id = producer.enqueue("spring-campaign", profiles)

When `enqueue` has returned, every profile is in its contact's lane (as durable as the Redis it rests in) or counted as
excluded with its reason. It may be called again with the same `job_id` and other profiles; a job is only a counter.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import orjson
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.destinations.state import now_ms
from app.errors import ServiceUnreachable
from app.keys import (
    CHUNK_LIFE_SECONDS,
    JOB_LIFE_SECONDS,
    LANES,
    RUN_LIFE_SECONDS,
    DestinationKeys,
    job_index,
)
from app.lanes.delivered import contact_tag
from app.lanes.entries import FORCE, REPLAYED, purpose
from app.lanes.lane import rouse
from app.lua import script
from app.mapping.compiled import Excluded, Reason, contact_key_reader
from app.mapping.xdm import parse_time
from app.resources import Resources
from app.settings import Settings

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.lanes.failures import Failure, FailureStore

DELIVER_TASK = "activation.deliver"
DELIVERY_QUEUE = "delivery"
CHUNK = 500  # profiles appended in one step: a few ms of the server's time

log = logging.getLogger(__name__)


class Producer:
    """Appends profiles to the lanes of destinations. Safe to share between threads."""

    def __init__(self, resources: Resources, celery: Celery | None = None) -> None:
        self._r = resources
        self._celery = celery or _publisher(resources.settings.broker_url or resources.settings.redis_url)

    @classmethod
    def from_env(cls) -> Self:
        """From the ACTIVATION_ variables; REDIS_URL and SECRET_KEYS must be set. Raises `UsageError`."""
        return cls(Resources.from_settings(Settings.from_env()))

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
    ) -> str:
        """Append profiles (JSON objects in XDM shape) to their lanes; returns the job id.

        `occurred_at` (a datetime with a time zone, RFC 3339 text, or epoch ms) is the version of attributes whose profile says none.
        `backfill` puts
        them behind all live updates. `force` sends even what is delivered already. A `repeat_id` names this very call: made again
        with the same one and the same profiles, it adds nothing.
        Raises `UnknownDestination`, `ValueError` for an `occurred_at` that is no time or has no time zone, and `ServiceUnreachable`
        when Redis does not answer: what was appended until then stays, and the whole call can be repeated.
        """
        occurred_at_ms = _epoch_ms(occurred_at)
        job = job_id or repeat_id or uuid4().hex
        call = repeat_id or uuid4().hex
        try:
            target = _Target(self._r, self._r.destinations.get(destination))
            # the index first: a job that can be found and is empty is better than one that cannot be found
            self._index(job, destination)
            meta = (occurred_at_ms, FORCE if force else "")
            asleep: set[int] = set()
            rest = iter(profiles)
            number = 0
            while chunk := list(islice(rest, CHUNK)):
                lanes, excluded = target.sort(chunk, meta)
                asleep |= target.append(
                    lanes, excluded, job_id=job, received=len(chunk), backfill=backfill, chunk_id=f"{call}:{number}"
                )
                number += 1
                if len(asleep) > LANES // 2:
                    self.wake(destination, asleep)
                    asleep.clear()
            self.wake(destination, asleep)
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise ServiceUnreachable(
                "Redis does not answer; profiles may be enqueued in part.",
                remedy="Check ACTIVATION_REDIS_URL and the server, then enqueue again: repeats cost no call.",
            ) from error
        return job

    def wake_all(self, destination: str) -> None:
        """Wake every lane that has work now, whatever it was waiting for: an operator has just mended something."""
        keys = DestinationKeys(destination)
        self._r.redis.delete(*(keys.lane(number).wake for number in range(LANES)))
        seconds = self._r.settings.wake_mark_seconds
        self.wake(destination, rouse(self._r.redis, destination, range(LANES), wake_mark_seconds=seconds))

    def replay(self, destination: str, store: FailureStore, failures: Iterable[Failure]) -> tuple[int, str]:
        """Enqueue failed profiles again under the version they had, and drop them from the store. Returns how many, and the job."""
        target = _Target(self._r, self._r.destinations.get(destination))
        job = f"replay-{uuid4().hex}"
        self._index(job, destination)
        asleep: set[int] = set()
        count = 0
        rest = iter(failures)
        while chunk := list(islice(rest, CHUNK)):
            lanes: _Lanes = {}
            excluded: Counter[str] = Counter()
            for failure in chunk:
                meta = (str(failure.occurred_at_ms), REPLAYED + (FORCE if failure.force else ""))
                target.place(failure.profile, meta, lanes, excluded)
            # the id of the chunk is that of its failures: replayed twice, they are enqueued once
            chunk_id = blake2b("".join(failure.id for failure in chunk).encode(), digest_size=16).hexdigest()
            asleep |= target.append(
                lanes, excluded, job_id=job, received=len(chunk), backfill=False, chunk_id=f"replay:{chunk_id}"
            )
            store.remove([failure.id for failure in chunk])
            count += len(chunk)
        self.wake(destination, asleep)
        return count, job

    def _index(self, job: str, destination: str) -> None:
        with self._r.redis.pipeline() as pipeline:
            pipeline.sadd(job_index(job), destination)
            pipeline.expire(job_index(job), JOB_LIFE_SECONDS)
            pipeline.execute()

    def wake(self, destination: str, lanes: Iterable[int]) -> None:
        """Send the wake-ups of lanes. A broker that is away costs seconds, not profiles: the sweep finds the lanes."""
        numbers = sorted(lanes)
        if not numbers:
            return
        try:
            with self._celery.producer_pool.acquire(block=True, timeout=10) as producer:
                for number in numbers:
                    self._celery.send_task(
                        DELIVER_TASK, args=(destination, number), queue=DELIVERY_QUEUE, producer=producer, retry=False
                    )
        except (OperationalError, TimeoutError) as error:
            log.warning("The broker does not answer (%s); the sweep will wake the lanes.", type(error).__name__)


# lane -> entries: occurred_at in ms or '', flags, sealed profile
_Lanes = dict[int, list[tuple[str, str, bytes]]]


class _Target:
    """One destination as a producer needs it."""

    def __init__(self, resources: Resources, destination: Destination) -> None:
        self._keys = DestinationKeys(destination.id)
        self._ring = resources.ring
        self._purpose = purpose(destination.id)
        self._pepper = resources.destinations.pepper(destination.id)
        self._contact_key = contact_key_reader(destination)
        self._append = script(resources.redis, "app.lanes", "append")
        self._wake_mark_ms = int(resources.settings.wake_mark_seconds * 1000)

    def sort(self, profiles: list[Any], meta: tuple[str, str]) -> tuple[_Lanes, Counter[str]]:
        """Sealed profiles by lane, each behind its `meta`, and the reasons of those that have none."""
        lanes: _Lanes = {}
        excluded: Counter[str] = Counter()
        for profile in profiles:
            self.place(profile, meta, lanes, excluded)
        return lanes, excluded

    def place(self, profile: Any, meta: tuple[str, str], lanes: _Lanes, excluded: Counter[str]) -> None:
        """Seal one profile into its lane, or count why it has none."""
        key = self._contact_key(profile)
        if isinstance(key, Excluded):
            excluded[key.reason] += 1
            return
        try:
            clear = orjson.dumps(profile)
        except TypeError:  # JSONEncodeError is one: not representable as JSON
            excluded[Reason.MALFORMED_PROFILE] += 1
            return
        lane = lane_of(contact_tag(key, self._pepper))
        lanes.setdefault(lane, []).append((*meta, self._ring.seal(clear, self._purpose)))

    def append(
        self, lanes: _Lanes, excluded: Counter[str], *, job_id: str, received: int, backfill: bool, chunk_id: str
    ) -> set[int]:
        """One step in Redis. Returns the lanes that need a wake-up."""
        keys = self._keys
        names = [keys.chunk(chunk_id), keys.job(job_id), keys.run(now_ms() // 3_600_000)]
        args: list[Any] = [
            CHUNK_LIFE_SECONDS, JOB_LIFE_SECONDS, RUN_LIFE_SECONDS, self._wake_mark_ms, job_id, received, len(excluded),
        ]  # fmt: skip
        for reason, count in excluded.items():
            args += [reason, count]
        numbers = list(lanes)
        for number in numbers:
            lane = keys.lane(number)
            names += [lane.backfill if backfill else lane.live, lane.wake, lane.lease]
            args.append(len(lanes[number]))
            for entry in lanes[number]:
                args += entry
        positions: Any = self._append(keys=names, args=args)
        return {numbers[position - 1] for position in positions}


def _epoch_ms(moment: datetime | str | int | None) -> str:
    """A time as it is written into an entry; nothing for none."""
    match moment:
        case None:
            return ""
        case datetime() if moment.tzinfo is None:
            raise ValueError("occurred_at has no time zone; use datetime.now(UTC), or give it one")
        case datetime():
            return str(int(moment.timestamp() * 1000))
        case str():
            return str(parse_time(moment))
        case int() if not isinstance(moment, bool) and moment >= 0:
            return str(moment)
    raise ValueError("occurred_at is no time; give a datetime with a time zone, RFC 3339 text, or epoch milliseconds")


def lane_of(tag: bytes) -> int:
    """The lane of a contact, by its tag."""
    return int.from_bytes(tag[:2]) % LANES


def profiles_of(lines: Iterable[bytes], report: Callable[[int], None]) -> Iterator[Any]:
    """Profiles from JSON Lines; blank lines are skipped.

    A line that is no JSON becomes None, which is excluded as malformed, and its number (from 1) is reported.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            report(number)
            yield None


@cache
def _publisher(broker_url: str) -> Celery:
    """A Celery application that only publishes wake-ups."""
    app = Celery("activation-producer", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        broker_pool_acquire_timeout=10,
        broker_transport_options=broker_transport_options(broker_url),
    )
    return app


def broker_transport_options(broker_url: str) -> dict[str, Any]:
    """Options of the broker connection, the same in every process: the shortest visibility timeout among them is the one that
    counts. They are for Redis; AMQP needs none.
    """
    if not broker_url.startswith(("redis", "rediss", "sentinel", "valkey")):
        return {}
    return {
        # how long a wake-up may be unacknowledged before it is given to another worker: sessions and countdowns last far less
        "visibility_timeout": 300,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # kombu passes None on, which would wait for a black-holed broker for ever
        "socket_connect_timeout": 3,
        "socket_timeout": 10,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }
