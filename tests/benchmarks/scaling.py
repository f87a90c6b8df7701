"""1, 2, 4 and 8 worker processes at 200 ms a call and no rate limit."""

from __future__ import annotations

import time

import psutil

from tests.benchmarks.bed import bed, person
from tests.benchmarks.table import Figure

SECONDS = 10


def measure() -> Figure:
    rows, rates = [], {}
    for workers in (1, 2, 4, 8):
        with bed(workers=workers) as made:
            made.connect(max_in_flight=500)
            made.settings_of(latency_ms=200)
            made.start()
            made.producer.enqueue("camp", (person(number) for number in range(SECONDS * 2_500)))
            made.wait_until(lambda: made.summary()["contact_ok"] > 500, "under way")
            begun, before = time.perf_counter(), made.summary()["contact_ok"]
            psutil.cpu_percent()
            time.sleep(SECONDS)
            rates[workers] = (made.summary()["contact_ok"] - before) / (time.perf_counter() - begun)
            rows.append([str(workers), f"{rates[workers]:,.0f}", f"{psutil.cpu_percent():.0f} %"])
    grows = rates[2] >= 1.6 * rates[1] and rates[4] >= 1.3 * rates[2]
    return Figure(
        "Worker processes at 200 ms latency, no rate limit",
        target="throughput grows with them until the cores are full",
        result=", ".join(f"{workers}: {rate:,.0f}/s" for workers, rate in rates.items()),
        reached=grows,
        columns=["workers", "contacts per second", "CPU of the whole machine"],
        rows=rows,
        note="A worker makes 64 calls at once (ACTIVATION_CALLS_AT_ONCE): at 200 ms at most 320 a second.",
    )
