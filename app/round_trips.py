"""Sends steps in Redis that several coroutines request together.

While one round trip is under way the next one gathers, so that a busy process makes few large ones and an idle one waits
for nothing. If Redis writes to disk before it answers, the steps of one round trip share that too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from app.lua import Word, script, sha, source

if TYPE_CHECKING:
    from redis import Redis
    from redis.connection import AbstractConnection

T = TypeVar("T")
MOST_STEPS = 100  # in one round trip, so that the next one does not wait long


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One script of `package` or, if `package` is '', one command; `read` turns its reply into the result. Safe to repeat."""

    package: str
    name: str
    keys: Sequence[str]
    arguments: Sequence[Word]
    read: Callable[[Any], T]

    def run(self, redis: Redis) -> T:
        """Carry out the step alone and wait for it. Raises: redis-py's errors; what `read` raises."""
        if not self.package:
            return self.read(redis.execute_command(*self.command()))  # type: ignore[no-untyped-call]  # redis-py gives it no types
        return self.read(script(redis, self.package, self.name)(keys=self.keys, args=self.arguments))

    def command(self, *, whole: bool = False) -> list[Word]:
        """Return the command as sent to Redis. `whole`: with the script's text, for a server that does not know it yet."""
        if not self.package:
            return [self.name, *self.keys, *self.arguments]
        what = ["EVAL", source(self.package, self.name)] if whole else ["EVALSHA", sha(self.package, self.name)]
        return [*what, len(self.keys), *self.keys, *self.arguments]


class RoundTrips:
    """The round trips of one process, for the coroutines of its event loop.

    It keeps one connection of the pool, because taking and returning one costs more than a small round trip.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._connection: AbstractConnection | None = None
        self._waiting: list[tuple[Step[Any], asyncio.Future[Any]]] = []
        self._under_way = False
        self._timer: asyncio.TimerHandle | None = None  # for steps that can wait for others
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redis")

    async def run(self, step: Step[T], *, within_seconds: float = 0.0) -> T:
        """Carry out a step together with others, or alone after `within_seconds`.

        Raises: redis-py's errors; what its `read` raises.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((step, future))
        if not self._under_way:
            if not within_seconds:
                self._under_way = True
                loop.call_soon(self._send)  # so that coroutines that are ready now can add theirs
            elif self._timer is None:
                self._timer = loop.call_later(within_seconds, self._send_late)
        return step.read(await future)

    def _send_late(self) -> None:
        self._timer = None
        if self._waiting and not self._under_way:
            self._under_way = True
            self._send()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sent, self._waiting = self._waiting[:MOST_STEPS], self._waiting[MOST_STEPS:]
        steps = [step for step, _ in sent]
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._carry_out, steps)
        answer.add_done_callback(lambda done: self._hand_on([future for _, future in sent], done))

    def _hand_on(self, futures: Sequence[asyncio.Future[Any]], done: asyncio.Future[list[Any]]) -> None:
        error = done.exception()
        replies = [error] * len(futures) if error is not None else done.result()
        for future, reply in zip(futures, replies, strict=True):
            if future.done():
                continue  # nobody is waiting any more
            if isinstance(reply, BaseException):
                future.set_exception(reply)
            else:
                future.set_result(reply)
        if self._waiting:
            self._send()
        else:
            self._under_way = False

    def _carry_out(self, steps: Sequence[Step[Any]]) -> list[Any]:
        if self._connection is None:
            self._connection = self.redis.connection_pool.get_connection()
        replies = _exchange(self._connection, [step.command() for step in steps])
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            # no longer a master, as after a fail-over that cut no connection: the address may now lead to another server
            self._connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py gives it no types
        for index, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):  # Redis has restarted since
                try:
                    replies[index] = _exchange(self._connection, [steps[index].command(whole=True)])[0]
                except RedisError as error:  # the other steps were carried out
                    replies[index] = error
        return replies


def _exchange(connection: AbstractConnection, commands: Sequence[Sequence[Word]]) -> list[Any]:
    """Send commands and return their replies, which may include errors of Redis; repeat if the connection breaks."""

    def exchange() -> list[Any]:
        connection.connect_check_health(retry_socket_connect=False)  # or there would be retries within each retry
        connection.send_packed_command(connection.pack_commands(commands))  # type: ignore[no-untyped-call]  # redis-py gives it no types
        return [_read_reply(connection) for _ in commands]

    return connection.retry.call_with_retry(exchange, connection.disconnect)


def _read_reply(connection: AbstractConnection) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
