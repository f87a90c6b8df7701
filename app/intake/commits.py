"""Group commit: the profiles of all waiting requests go into their lanes together, by the same code as a producer's.

One thread appends while the event loop reads requests; what arrives meanwhile waits for the next append. A request is
answered when its own profiles are durable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, inf
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from redis.exceptions import RedisError

from app.chunks import bounded
from app.clock import following
from app.errors import ActivationError, RequestRefused
from app.intake.rate import Charge, charge, give_back
from app.intake.repeats import Arrival, Repeats, body_digest
from app.keys import INTAKE_CHUNK_LIFE_SECONDS
from app.lanes.append import Appender
from app.lanes.bounds import Readied, ready
from app.lanes.entries import BACKFILL, Origin
from app.logs import say_once
from app.storage import translated

if TYPE_CHECKING:
    from asyncio import Future

    from app.resources import Resources
    from app.wake_ups import Waker

MOST_TOGETHER = 2_000  # profiles in one group, before its first request is answered
_CONNECTED_SECONDS = 1.0
_TELL_SECONDS = 0.5
_GATHER_SECONDS = 0.002  # wait for more posts: appending one costs nearly as much as appending twenty

log = logging.getLogger(__name__)

_NEVER = Arrival(0, 0, 0)


@dataclass(slots=True, eq=False)
class Post:
    """The profiles of one request.

    `first_byte`: when the request began (time.monotonic()). `abandoned`: its sender was told to send it again, so only its
      arrival is remembered.
    """

    destination: str
    job: str
    body: bytes
    profiles: list[Any]
    first_byte: float
    occurred_at_ms: int | None = None
    backfill: bool = False
    source: str = ""
    profiles_per_second: int = 0
    abandoned: bool = False
    error: ActivationError | None = None
    accepted: int = 0
    excluded: int = 0
    arrival: Arrival = _NEVER
    waiter: Future[None] | None = None


class Commits:
    """The queue of posts and the threads that empty it. Any thread may call `submit`.

    `done` is called in the committing thread with posts that are appended, or have their error.
    """

    def __init__(self, resources: Resources, waker: Waker, done: Callable[[list[Post]], None]) -> None:
        self._done = done
        self._r = resources
        self._repeats = Repeats(resources.redis)
        self._waking = _Waking(waker)
        self._queue: SimpleQueue[Post | None] = SimpleQueue()
        self._appenders: dict[str, tuple[float, Appender]] = {}  # id -> (made at (monotonic), appender)
        self._thread = Thread(target=self._run, name="intake-commits", daemon=True)

    def start(self) -> None:
        self._waking.start()
        self._thread.start()

    def submit(self, post: Post) -> None:
        self._queue.put(post)

    def stop(self) -> None:
        """Commit what waits, then end."""
        self._queue.put(None)
        self._thread.join()
        self._waking.stop()

    def _run(self) -> None:
        ending = False
        while not ending:
            posts, ending = self._next()
            for group in _groups(posts):
                self._settle(group)
            if self._repeats.noted and not posts:
                self._tell()

    def _next(self) -> tuple[list[Post], bool]:
        """Wait for posts; return those that wait, and whether they are the last."""
        posts: list[Post] = []
        count = 0
        try:
            while count < MOST_TOGETHER:
                if posts:
                    post = self._queue.get_nowait()
                else:
                    post = self._queue.get(timeout=_TELL_SECONDS)
                    time.sleep(_GATHER_SECONDS)
                if post is None:
                    return posts, True
                posts.append(post)
                count += len(post.profiles)
        except Empty:
            pass
        return posts, False

    def _tell(self) -> None:
        try:
            self._repeats.tell()
        except RedisError as error:
            say_once(log, "tell", "Redis cannot be told of arrivals (%s); they are kept here.", type(error).__name__)

    def _settle(self, posts: list[Post]) -> None:
        """Commit a group and report to each request; no error ends the thread."""
        error: ActivationError | None = None
        try:
            with translated():
                self._commit(posts)
        except ActivationError as found:
            error = found
        except Exception as found:
            log.exception("A group of profiles could not be appended.")
            error = ActivationError(f"The intake failed ({type(found).__name__}); its log tells more.")
        for post in posts:
            post.error = post.error or error
        self._done(posts)

    def _commit(self, posts: list[Post]) -> None:
        destination, job = posts[0].destination, posts[0].job
        try:
            appender = self._appender(destination)
        except RedisError:
            self._note(destination, posts)
            raise
        arrivals = self._repeats.arrivals(destination, self._arrivals(posts, appender.pepper))
        for post, arrival in zip(posts, arrivals, strict=True):
            post.arrival = arrival
        charged = self._limit(posts)
        try:
            profiles = _readied(post for post in posts if not post.abandoned and post.error is None)
            for items in bounded(profiles, appender.contacts):
                self._append(destination, job, items)
        except Exception:
            self._give_back(charged)
            raise
        self._give_back([post for post in charged if post.abandoned])  # they come again and are charged then

    def _give_back(self, posts: Sequence[Post]) -> None:
        if not posts:
            return
        with suppress(RedisError):
            give_back(self._r.redis, [_charge(post) for post in posts], self._r.clock.now_ms())

    def _arrivals(self, posts: Sequence[Post], pepper: bytes) -> list[tuple[bytes, Arrival]]:
        """Return the digest of each body, and when it came."""
        clock = self._r.clock
        found = []
        for post in posts:
            stamp_ms, number = clock.stamp(max(1, len(post.profiles)))
            first_byte_ms = min(stamp_ms, clock.now_ms() - int((time.monotonic() - post.first_byte) * 1000))
            found.append((body_digest(post.body, pepper), Arrival(first_byte_ms, stamp_ms, number)))
        return found

    def _note(self, destination: str, posts: Sequence[Post]) -> None:
        """Remember the arrivals of posts that cannot be appended now: they will come again."""
        if destination in self._appenders:
            _, appender = self._appenders[destination]
            for digest, arrival in self._arrivals(posts, appender.pepper):
                self._repeats.note(destination, digest, arrival)

    def _limit(self, posts: Sequence[Post]) -> list[Post]:
        """Refuse posts of sources that have exceeded their profiles per second; returns those that are charged."""
        limited = [post for post in posts if post.profiles_per_second and not post.abandoned]
        if not limited:
            return []
        charged = []
        waits = charge(self._r.redis, [_charge(post) for post in limited], self._r.clock.now_ms())
        for post, wait_ms in zip(limited, waits, strict=True):
            if not wait_ms:
                charged.append(post)
            else:
                post.error = RequestRefused(
                    "This source sends more profiles a second than it may.",
                    status=429,
                    code="rate_limit",
                    retry_after_seconds=ceil(wait_ms / 1000),
                )
        return charged

    def _append(self, destination: str, job: str, items: list[tuple[tuple[Post, int], Readied]]) -> None:
        appender = self._appender(destination)
        chunk = appender.sort((readied, _origin(job, post, place)) for (post, place), readied in items)
        (first, _), _ = items[0]
        asleep = appender.append(
            chunk,
            job_id=job,
            chunk_id=f"intake:{uuid4().hex}",
            about={"source": f"intake {first.source}"},
            chunk_life_seconds=INTAKE_CHUNK_LIFE_SECONDS,
        )
        for ((post, _), _), excluded in zip(items, chunk.exclusions, strict=True):
            post.excluded += excluded is not None
            post.accepted += excluded is None
        self._waking.wake(destination, asleep)

    def _appender(self, destination: str) -> Appender:
        """Return an appender for the destination as connected within the last second.

        Redis refuses an append for another epoch.
        """
        now = time.monotonic()
        made_at, appender = self._appenders.get(destination, (-inf, None))
        if appender is None or now - made_at > _CONNECTED_SECONDS:
            appender = Appender(self._r, destination)
            self._appenders[destination] = now, appender
        return appender


def _origin(job: str, post: Post, place: int) -> Origin:
    """Place a post's profile in the order."""
    arrival = post.arrival
    occurred_at_ms = arrival.first_byte_ms if post.occurred_at_ms is None else post.occurred_at_ms
    stamp_ms, number = following((arrival.stamp_ms, arrival.stamp_number), place)
    return Origin(job, occurred_at_ms, stamp_ms, number, BACKFILL * post.backfill, b"")


def _charge(post: Post) -> Charge:
    return Charge(post.source, post.profiles_per_second, len(post.profiles))


def _groups(posts: Iterable[Post]) -> list[list[Post]]:
    """Group posts that share an append, by destination and job, in the order of arrival."""
    groups: dict[tuple[str, str], list[Post]] = {}
    for post in posts:
        groups.setdefault((post.destination, post.job), []).append(post)
    return list(groups.values())


def _readied(posts: Iterable[Post]) -> Iterator[tuple[tuple[Post, int], Readied]]:
    """Yield every profile with its post and its position in it."""
    for post in posts:
        for place, profile in enumerate(post.profiles):
            yield (post, place), ready(profile)


class _Waking:
    """Wakes lanes in its own thread, so that a slow broker delays no answer."""

    def __init__(self, waker: Waker) -> None:
        self._waker = waker
        self._queue: SimpleQueue[tuple[str, set[int]] | None] = SimpleQueue()
        self._ended = Event()

    def start(self) -> None:
        Thread(target=self._run, name="intake-waker", daemon=True).start()

    def wake(self, destination: str, lanes: set[int]) -> None:
        if lanes:
            self._queue.put((destination, lanes))

    def stop(self) -> None:
        """Send what waits, for a few seconds at most: the sweep finds the rest."""
        self._queue.put(None)
        self._ended.wait(3)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            self._waker.wake(*item)
        self._ended.set()
