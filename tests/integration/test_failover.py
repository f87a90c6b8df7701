"""A master that becomes a replica and cuts no connection, as a fail-over by name or virtual address may leave it."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ReadOnlyError

from app.event_loop import EVENT_LOOP
from app.resources import connect
from app.round_trips import RoundTrips, Step


def number_of(client: Any) -> int:
    """Of the connection that a command travels by."""
    return int(client.client_id())


def test_connections_to_a_former_master_are_made_anew(redis: Redis, redis_port: int) -> None:
    with connect(f"redis://127.0.0.1:{redis_port}/0") as client:
        trips = RoundTrips(client)

        def by_round_trip(name: str, *arguments: str) -> Any:
            return EVENT_LOOP.run(trips.run(Step("", name, [], arguments, lambda reply: reply)))

        before = by_round_trip("CLIENT", "ID"), number_of(client)
        assert before == (by_round_trip("CLIENT", "ID"), number_of(client)), "they are kept"
        redis.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]  # nobody is there
        try:
            with pytest.raises(ReadOnlyError):
                client.set("name", "value")
            with pytest.raises(ReadOnlyError):
                by_round_trip("SET", "name", "value")
        finally:
            redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        assert number_of(client) not in before
        assert by_round_trip("CLIENT", "ID") not in before
        assert client.set("name", "value")
