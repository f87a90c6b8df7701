"""Profiles per second that one producer process enqueues."""

from __future__ import annotations

import time

from tests.benchmarks.bed import bed, person
from tests.benchmarks.table import Figure

PROFILES = 100_000


def measure() -> Figure:
    rates = []
    with bed(workers=0, static=True) as made:
        made.connect()
        people = [person(number) for number in range(PROFILES)]
        made.producer.enqueue("camp", people[:1_000])
        for _ in range(3):
            begun = time.perf_counter()
            made.producer.enqueue("camp", people)
            rates.append(PROFILES / (time.perf_counter() - begun))
    return Figure(
        "Profiles enqueued per second by one process",
        target="at least 30,000",
        result=f"{sorted(rates)[1]:,.0f}",
        reached=sorted(rates)[1] >= 30_000,
        columns=["run", "profiles per second"],
        rows=[[str(number + 1), f"{rate:,.0f}"] for number, rate in enumerate(rates)],
    )
