"""kombu's transports, which look at what comes before kombu does.

Anybody who may write to a Redis broker can put anything into the list that is a queue. kombu takes it for JSON with certain
members, and an error there ends the worker, after the item has been taken: the others follow with the next one. Here an item is
looked at as it comes from Redis; one that kombu could not read is handed over, and never gets that far.

On AMQP what comes is a message, but its body may inflate to gigabytes: it is looked at before it does.
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
    """A connection that reads queues."""

    set_aside: ClassVar[SetAside]

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """None, as when nothing came, for an item that is no message."""
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
        # a body of text is not packed: py-amqp could decode it
        fault = fault_in_compression(msg.headers or {}, msg.body) if isinstance(msg.body, bytes) else ""
        if fault:
            error = UnreadableMessage(fault)
            # kombu does no more with it than tell the consumer
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
    """Use these transports for all connections that this process opens from now on. To be called before the first."""
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
