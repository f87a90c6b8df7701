"""Delivered state: what Redis keeps of a contact with ten attributes once nothing waits for it."""

from __future__ import annotations

from app.keys import LANES, DestinationKeys
from tests.benchmarks.bed import bed, person
from tests.benchmarks.table import Figure

CONTACTS = 20_000


def measure() -> Figure:
    with bed(workers=2, static=True) as made:
        made.connect()
        made.start()
        made.settled([made.producer.enqueue("camp", (person(number) for number in range(CONTACTS)))])
        keys = DestinationKeys("camp")
        used = sum(
            int(made.redis.memory_usage(keys.lane(number).delivered, samples=0) or 0)  # type: ignore[arg-type]  # redis-py's union with its asyncio reply
            for number in range(LANES)
        )
    each = used / CONTACTS
    return Figure(
        "Delivered state, ten attributes",
        target="at most 300 bytes per contact",
        result=f"{each:.0f} bytes",
        reached=each <= 300,
        columns=["contacts", "bytes together", "bytes each"],
        rows=[[f"{CONTACTS:,}", f"{used:,}", f"{each:.0f}"]],
    )
