"""Steps in Redis that several coroutines ask for, sent together.

While one round trip is under way the next one gathers, so that a busy process makes few large ones and an idle one waits for nothing.
Where Redis writes to the disk before it answers, the steps of one round trip share that as well.
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
MOST_STEPS = 100  # in one round trip: whoever comes next must not wait long behind them


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One script of `package` or, when `package` is '', one command, and what its reply means. Safe to repeat."""

    package: str
    name: str
    keys: Sequence[str]
    arguments: Sequence[Word]
    read: Callable[[Any], T]

    def run(self, redis: Redis) -> T:
        """Carry it out alone, and wait for it. Raises redis-py's errors and what `read` raises."""
        if not self.package:
            return self.read(redis.execute_command(*self.command()))  # type: ignore[no-untyped-call]  # redis-py gives it no types
        return self.read(script(redis, self.package, self.name)(keys=self.keys, args=self.arguments))

    def command(self, *, whole: bool = False) -> list[Word]:
        """As Redis reads it; `whole` for one that does not know the script yet."""
        if not self.package:
            return [self.name, *self.keys, *self.arguments]
        what = ["EVAL", source(self.package, self.name)] if whole else ["EVALSHA", sha(self.package, self.name)]
        return [*what, len(self.keys), *self.keys, *self.arguments]


class RoundTrips:
    """Of one process, for the coroutines of its event loop.

    One connection of the pool is kept for them: to take one and to give it back costs more than a small round trip itself.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._connection: AbstractConnection | None = None
        self._waiting: list[tuple[Step[Any], asyncio.Future[Any]]] = []
        self._under_way = False
        self._timer: asyncio.TimerHandle | None = None  # of those that can wait for company
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redis")

    async def run(self, step: Step[T], *, within_seconds: float = 0.0) -> T:
        """Carry a step out with others, or after so long alone. Raises redis-py's errors and what its `read` raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((step, future))
        if not self._under_way:
            if not within_seconds:
                self._under_way = True
                loop.call_soon(self._send)  # the coroutines that are ready now may ask for more
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
                continue  # nobody waits any more
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
            # a master no more, as after a fail-over that cut no connection: the address may lead to another server by now
            self._connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py gives it no types
        for index, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):  # Redis has started since
                try:
                    replies[index] = _exchange(self._connection, [steps[index].command(whole=True)])[0]
                except RedisError as error:  # the others were carried out
                    replies[index] = error
        return replies


def _exchange(connection: AbstractConnection, commands: Sequence[Sequence[Word]]) -> list[Any]:
    """Send commands and read their replies, among which are errors of Redis; anew when the connection breaks."""

    def exchange() -> list[Any]:
        connection.connect_check_health(retry_socket_connect=False)  # or there would be tries within each try
        connection.send_packed_command(connection.pack_commands(commands))  # type: ignore[no-untyped-call]  # redis-py gives it no types
        return [_read_reply(connection) for _ in commands]

    return connection.retry.call_with_retry(exchange, connection.disconnect)


def _read_reply(connection: AbstractConnection) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
