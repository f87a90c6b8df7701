"""kombu's transports, with a check of every message before kombu reads it.

Anyone who may write to a Redis broker can put anything into a queue's list. kombu expects JSON with certain members; where
they are missing it crashes the worker after taking the item, and the next item crashes the next worker. So items are
checked as they come from Redis, and unreadable ones are set aside.

Over AMQP a message is always well formed, but its body may inflate to gigabytes, so it is checked before it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import redis
from kombu.transport import TRANSPORT_ALIASES, pyamqp
from kombu.transport import redis as stock

from tasks.messages import UnreadableMessage, fault_in_compression, fault_in_envelope

SetAside = Callable[[str, bytes], None]


class _Client(redis.Redis):
    """A Redis connection that reads queues."""

    set_aside: ClassVar[SetAside]

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """Return None, as if nothing had come, for an item that is no message."""
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]  # so in redis-py
        if command_name != "BRPOP" or not reply:
            return reply
        _, item = reply
        raw = item if isinstance(item, bytes) else str(item).encode(errors="replace")
        fault = fault_in_envelope(raw)
        if not fault:
            return reply
        type(self).set_aside(fault, raw)
        return None


class _Channel(stock.Channel):
    def _get_client(self) -> Any:
        return _Client


class Transport(stock.Transport):
    Channel = _Channel


class _AmqpMessage(pyamqp.Message):
    def __init__(self, msg: Any, channel: Any = None, **more: Any) -> None:
        # a text body is not compressed, since py-amqp could decode it
        fault = fault_in_compression(msg.headers or {}, msg.body) if isinstance(msg.body, bytes) else ""
        if fault:
            error = UnreadableMessage(fault)
            # with errors set, kombu only tells the consumer
            self.errors = [(UnreadableMessage, error, error.__traceback__)]  # type: ignore[list-item]  # it may be None
        super().__init__(msg, channel, **more)  # type: ignore[no-untyped-call]  # so in kombu


class _AmqpChannel(pyamqp.Channel):
    Message = _AmqpMessage


class _AmqpConnection(pyamqp.Connection):
    Channel = _AmqpChannel


class AmqpTransport(pyamqp.Transport):
    Connection = _AmqpConnection


class AmqpsTransport(pyamqp.SSLTransport):
    Connection = _AmqpConnection


def harden(set_aside: SetAside) -> None:
    """Use these transports for all connections that this process opens from now on. Call it before the first.

    `set_aside` is called with the fault and the raw item.
    """
    _Client.set_aside = staticmethod(set_aside)
    TRANSPORT_ALIASES.update(
        {
            "redis": "tasks.transport:Transport",
            "rediss": "tasks.transport:Transport",
            "amqp": "tasks.transport:AmqpTransport",
            "pyamqp": "tasks.transport:AmqpTransport",
            "amqps": "tasks.transport:AmqpsTransport",
        }
    )
