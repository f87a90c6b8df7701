"""Handles `POST /v1/destinations/ID/profiles`: who sends, what was sent, and the answer once it is durable.

Adobe Experience Platform repeats requests answered with 403, 408, 409, 429 and 5xx, and drops those answered with 400, 401,
413 and 415. So whatever is not the sender's fault is answered with 503.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import orjson

from app.errors import ActivationError, RequestRefused, UnknownDestination
from app.intake.bodies import MOST_BYTES, too_large
from app.intake.commits import Post
from app.intake.counts import NOBODY
from app.intake.parameters import read_parameters
from app.intake.problems import answer, problem, unavailable
from app.intake.reading import ReadBody, Reader
from app.logs import say_once
from app.serving.body_time import BODY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from app.intake.admission import Admission
    from app.intake.commits import Commits
    from app.intake.counts import Counts
    from app.intake.sources import IntakeSource
    from app.serving.body_time import BodyTime

ANSWER_SECONDS = 1.5  # after the end of the body; Adobe Experience Platform gives up after 2
MOST_WAITING_BYTES = 128_000_000  # of bodies as sent, in one process; further senders are told to come again
FIRST_BYTE = "activation.first_byte"  # in the scope: when the request began (time.monotonic())
JSON = b"application/json"

log = logging.getLogger(__name__)


class Profiles:
    """The ASGI application behind the path. Lives in one event loop."""

    def __init__(self, admission: Admission, commits: Commits, counts: Counts, body_time: BodyTime) -> None:
        self._admission = admission
        self._commits = commits
        self._counts = counts
        self._body_time = body_time
        self._loop = asyncio.get_running_loop()
        self._waiting_bytes = 0
        self._reader = Reader()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first_byte: float = scope.get(FIRST_BYTE) or time.monotonic()
        headers = dict(scope["headers"])
        source, post = NOBODY, None
        try:
            destination, peer = scope["path_params"]["destination"], _peer(scope)
            admitted = await self._admission.source(peer, headers, destination)
            source = admitted.name
            self._admission.check(admitted, peer, headers, destination)
            post = await self._take(scope, receive, headers, admitted, first_byte)
            status, kind = 202, JSON
            body = orjson.dumps({"job": post.job, "accepted": post.accepted, "excluded": post.excluded})
            more = [(b"content-type", kind)]
        except RequestRefused as refused:
            status, body, more = problem(refused)
            self._say(source, scope, refused)
        except _Gone:
            status = 499  # nobody is left to answer
        self._counts.answered(
            source,
            status,
            time.monotonic() - first_byte,
            accepted=post.accepted if post else 0,
            excluded=post.excluded if post else 0,
        )
        if status != 499:
            await answer(send, status, body, more)

    async def _take(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], source: IntakeSource, first_byte: float
    ) -> Post:
        """Read, check and append a request's profiles; returns the post when it is durable. Raises: `RequestRefused`."""
        parameters = read_parameters(scope["query_string"])
        body = bytearray()
        try:
            try:
                await self._read(receive, headers, body)
                deadline = self._loop.time() + ANSWER_SECONDS
                content_encoding = headers.get(b"content-encoding", b"").decode("latin-1")
                found = await self._profiles(bytes(body), content_encoding, deadline)
                post = Post(
                    destination=scope["path_params"]["destination"],
                    job=parameters.job or self._hourly(source.name),
                    body=found.plain,
                    profiles=found.profiles,
                    first_byte=first_byte,
                    occurred_at_ms=parameters.occurred_at_ms,
                    backfill=parameters.backfill,
                    source=source.name,
                    profiles_per_second=source.profiles_per_second,
                )
                await self._commit(post, deadline, found.leave)
            except RequestRefused:
                raise
            except UnknownDestination:
                raise unavailable("This destination is not connected just now.", "destination_not_connected") from None
            except ActivationError as error:
                raise unavailable(str(error), "storage") from error
        finally:
            self._waiting_bytes -= len(body)
        return post

    def _hourly(self, source: str) -> str:
        """Return the job for requests that name none: one per source and hour, since one per request would make millions."""
        return f"{source}-{time.strftime('%Y%m%dT%H', time.gmtime(self._admission.register.now_ms / 1000))}"

    async def _read(self, receive: Receive, headers: Mapping[bytes, bytes], body: bytearray) -> None:
        """Read the body; its bytes count as waiting from then on."""
        length = headers.get(b"content-length", b"0")
        # 20 digits are already too many, and Python refuses to convert thousands
        if not length.isdigit() or int(length.lstrip(b"0")[:20] or b"0") > MOST_BYTES:
            raise too_large(f"is more than {MOST_BYTES:,} bytes")
        try:
            with self._body_time.limit():
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    part = message.get("body", b"")
                    more = message.get("more_body", False)
                    body += part
                    self._waiting_bytes += len(part)
                    if len(body) > MOST_BYTES:
                        raise too_large(f"is more than {MOST_BYTES:,} bytes")
                    if self._waiting_bytes > MOST_WAITING_BYTES:
                        raise unavailable("The intake has more to do than it can hold.", "overloaded")
        except TimeoutError:
            if self._body_time.stopping:
                raise unavailable("The intake is stopping.", "stopping", retry_after_seconds=1) from None
            raise RequestRefused(
                f"The body did not come within {BODY_SECONDS:g} s.", status=408, code="slow_body"
            ) from None

    async def _profiles(self, body: bytes, content_encoding: str, deadline: float) -> ReadBody:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._reader.read(body, content_encoding)
        except TimeoutError:
            raise unavailable("The intake cannot read the body in time.", "overloaded") from None

    async def _commit(self, post: Post, deadline: float, leave: Callable[[], None]) -> None:
        """Have the post appended. `leave` is called when that has ended, even long after the sender was answered."""
        future: asyncio.Future[None] = self._loop.create_future()
        future.add_done_callback(lambda _: leave())
        post.waiter = future
        self._commits.submit(post)
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.shield(future)
        except TimeoutError:
            raise unavailable("Redis does not take the profiles in time.", "storage_slow") from None
        finally:
            post.abandoned = True  # a sender that has gone will come again too
        if post.error is not None:
            raise post.error

    def _say(self, source: str, scope: Scope, refused: RequestRefused) -> None:
        if refused.status == 401:
            say_once(
                log,
                f"401:{_peer(scope)}",
                "A request from %s was refused: %s Senders may lose what they send.",
                _peer(scope),
                refused,
                level=logging.ERROR,
            )
        else:
            say_once(log, f"{refused.code}:{source}", "%s was answered %d: %s", source, refused.status, refused)


class _Gone(Exception):
    """The sender has closed its connection."""


def wake(posts: list[Post]) -> None:
    """Resume, in the event loop, the requests whose posts have been committed or have failed."""
    for post in posts:
        if post.waiter is not None:
            post.waiter.set_result(None)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
