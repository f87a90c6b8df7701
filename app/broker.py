"""Celery's broker: a worker's own queue, how to connect, how many messages wait, and purging a queue."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.utils.url import parse_url

from app.errors import ServiceUnreachable
from app.queues import DELIVERY_QUEUE
from app.storage import untrusted

TIMEOUT_SECONDS = 3.0
WORKER_QUEUE_SECONDS = 3_600.0


def worker_queue(worker: str) -> Queue:
    """Return the queue of wake-ups for one worker, by its Celery node name.

    It uses the nameless exchange, which leaves no binding behind when the worker is gone for good. Where queues can expire
    (RabbitMQ), this one does so an hour after its worker.
    """
    name = f"{DELIVERY_QUEUE}.{worker}"
    return Queue(name, Exchange(""), routing_key=name, expires=WORKER_QUEUE_SECONDS)  # type: ignore[no-untyped-call]  # so in kombu


def broker_settings(broker_url: str) -> dict[str, Any]:
    """Return Celery's broker settings, the same in every process: of several visibility timeouts the shortest would count."""
    return {
        "broker_url": broker_url,
        "broker_transport_options": _transport_options(broker_url),
        "broker_use_ssl": _tls(broker_url),
    }


def _tls(broker_url: str) -> dict[str, Any] | bool:
    """Return the settings that verify the server.

    By default kombu accepts any certificate behind `rediss`, unless the URL says otherwise.

    Without a name py-amqp accepts any certificate that an authority has signed; and for several servers kombu would check
    the name of the first one for each.
    """
    servers = broker_url.split(";")
    schemes = {urlsplit(server).scheme for server in servers}
    if "rediss" in schemes:
        named = (
            parse_url(servers[0]).get("ssl", {}) if len(servers) == 1 else {}
        )  # for several servers, kombu uses each one's own
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True} | named
    return {"server_hostname": None} if schemes == {"amqps"} and len(servers) == 1 else False


def _transport_options(broker_url: str) -> dict[str, Any]:
    """Return options for Redis; AMQP needs none."""
    if not broker_url.startswith("redis"):
        return {}
    return {
        # how long a wake-up may stay unacknowledged before another worker gets it: sessions and countdowns are shorter
        "visibility_timeout": 300,
        # how often each worker checks Redis for such messages: a tenth of that time is enough
        "unacked_restore_interval": 30,
        "unacked_restore_throttle": 1,
        # kombu's default None would wait forever for a black-holed broker
        "socket_connect_timeout": 3,
        "socket_timeout": 10,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }


def queue_lengths(broker_url: str, queues: tuple[str, ...]) -> dict[str, int]:
    """Return how many messages wait in each queue. Raises: `ServiceUnreachable`."""
    with _connected(broker_url) as connection:
        return {queue: _length(connection, queue) for queue in queues}


def purge_queue(broker_url: str, queue: str) -> None:
    """Drop what waits in a queue. Raises: `ServiceUnreachable`."""
    with _connected(broker_url) as connection, suppress(*connection.channel_errors):  # the queue may not exist
        connection.default_channel.queue_purge(queue)  # type: ignore[no-untyped-call]  # so in kombu


@contextmanager
def _connected(broker_url: str) -> Iterator[Connection]:
    try:
        options = _transport_options(broker_url)
        with Connection(broker_url, transport_options=options, ssl=_tls(broker_url)) as connection:  # type: ignore[no-untyped-call]  # so in kombu
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_SECONDS)
            yield connection
    except Exception as error:  # noqa: BLE001  # each transport has its own errors
        raise untrusted("the broker", str(error)) or ServiceUnreachable(
            f"The broker does not answer ({type(error.__cause__ or error).__name__}).",
            remedy="Check ACTIVATION_BROKER_URL and that the server runs.",
        ) from None


def _length(connection: Connection, queue: str) -> int:
    try:
        with connection.channel() as channel:  # type: ignore[no-untyped-call]  # so in kombu
            return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:
        return 0  # it does not exist yet; in Redis an empty queue does not exist
