"""A look at Celery's broker, without taking part."""

from __future__ import annotations

from kombu.connection import Connection

from app.errors import ServiceUnreachable
from app.producer import broker_transport_options

TIMEOUT_SECONDS = 3.0


def queue_lengths(broker_url: str, queues: tuple[str, ...]) -> dict[str, int]:
    """How many messages wait in each queue. Raises `ServiceUnreachable`."""
    found: dict[str, int] = {}
    try:
        with Connection(broker_url, transport_options=broker_transport_options(broker_url)) as connection:  # type: ignore[no-untyped-call]  # so in kombu
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_SECONDS)
            for queue in queues:
                found[queue] = _length(connection, queue)
    except Exception as error:  # noqa: BLE001  # each transport has errors of its own
        raise ServiceUnreachable(
            f"The broker does not answer ({type(error).__name__}).",
            remedy="Check ACTIVATION_BROKER_URL and that the server runs.",
        ) from None
    return found


def _length(connection: Connection, queue: str) -> int:
    try:
        with connection.channel() as channel:  # type: ignore[no-untyped-call]  # so in kombu
            return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:
        return 0  # none was made yet; in Redis an empty one is none
