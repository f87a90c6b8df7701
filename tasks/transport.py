"""kombu's Redis transports, which set aside what is no message at all.

Anybody who may write to the broker can put anything into the list that is a queue. kombu takes it for JSON with certain members, and
an error there ends the worker, after the item has been taken: the others follow with the next one. Here an item is looked at
as it comes from Redis; one that kombu could not read is handed over, and never gets that far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import redis
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as stock

from tasks.messages import fault_in_envelope

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


class _SentinelChannel(stock.SentinelChannel):
    def _get_client(self) -> Any:
        return _Client


class Transport(stock.Transport):
    Channel = _Channel


class SentinelTransport(stock.SentinelTransport):
    Channel = _SentinelChannel


def harden(set_aside: SetAside) -> None:
    """Use these transports for all connections that this process opens from now on. To be called before the first."""
    _Client.set_aside = staticmethod(set_aside)
    TRANSPORT_ALIASES.update(
        {
            "redis": "tasks.transport:Transport",
            "rediss": "tasks.transport:Transport",
            "sentinel": "tasks.transport:SentinelTransport",
        }
    )
