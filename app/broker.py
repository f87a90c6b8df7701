"""Celery's broker: a worker's own queue, how to connect, a look at what waits, and an end to what nobody will take."""

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
    """The queue of wake-ups for one worker, by its Celery node name. By the nameless exchange, which leaves no binding behind when
    the worker is gone for good. Where queues can end by themselves (RabbitMQ) this one does, an hour after its worker.
    """
    name = f"{DELIVERY_QUEUE}.{worker}"
    return Queue(name, Exchange(""), routing_key=name, expires=WORKER_QUEUE_SECONDS)  # type: ignore[no-untyped-call]  # so in kombu


def broker_settings(broker_url: str) -> dict[str, Any]:
    """Celery's settings of its broker, the same in every process: of several visibility timeouts the shortest would count."""
    return {
        "broker_url": broker_url,
        "broker_transport_options": _transport_options(broker_url),
        "broker_use_ssl": _tls(broker_url),
    }


def _tls(broker_url: str) -> dict[str, Any] | bool:
    """Who has to be at the other end. kombu asks nobody behind `rediss` for a certificate that holds, unless the URL does.

    Without a name py-amqp is content with any certificate that an authority has signed, and kombu would check the name of the first
    of several servers for each of them.
    """
    servers = broker_url.split(";")
    schemes = {urlsplit(server).scheme for server in servers}
    if "rediss" in schemes:
        named = (
            parse_url(servers[0]).get("ssl", {}) if len(servers) == 1 else {}
        )  # of several, kombu takes each one's own
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True} | named
    return {"server_hostname": None} if schemes == {"amqps"} and len(servers) == 1 else False


def _transport_options(broker_url: str) -> dict[str, Any]:
    """They are for Redis; AMQP needs none."""
    if not broker_url.startswith("redis"):
        return {}
    return {
        # how long a wake-up may be unacknowledged before it is given to another worker: sessions and countdowns last less
        "visibility_timeout": 300,
        # a look at Redis by each worker, and not worth more than one in a tenth of that time
        "unacked_restore_interval": 30,
        "unacked_restore_throttle": 1,
        # kombu passes None on, which would wait for a black-holed broker for ever
        "socket_connect_timeout": 3,
        "socket_timeout": 10,
        "socket_keepalive": True,
        "health_check_interval": 25,
    }


def queue_lengths(broker_url: str, queues: tuple[str, ...]) -> dict[str, int]:
    """How many messages wait in each queue. Raises `ServiceUnreachable`."""
    with _connected(broker_url) as connection:
        return {queue: _length(connection, queue) for queue in queues}


def purge_queue(broker_url: str, queue: str) -> None:
    """Drop what waits in a queue. Raises `ServiceUnreachable`."""
    with _connected(broker_url) as connection, suppress(*connection.channel_errors):  # there may be none of that name
        connection.default_channel.queue_purge(queue)  # type: ignore[no-untyped-call]  # so in kombu


@contextmanager
def _connected(broker_url: str) -> Iterator[Connection]:
    try:
        options = _transport_options(broker_url)
        with Connection(broker_url, transport_options=options, ssl=_tls(broker_url)) as connection:  # type: ignore[no-untyped-call]  # so in kombu
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_SECONDS)
            yield connection
    except Exception as error:  # noqa: BLE001  # each transport has errors of its own
        raise untrusted("the broker", str(error)) or ServiceUnreachable(
            f"The broker does not answer ({type(error.__cause__ or error).__name__}).",
            remedy="Check ACTIVATION_BROKER_URL and that the server runs.",
        ) from None


def _length(connection: Connection, queue: str) -> int:
    try:
        with connection.channel() as channel:  # type: ignore[no-untyped-call]  # so in kombu
            return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:
        return 0  # none was made yet; in Redis an empty one is none
