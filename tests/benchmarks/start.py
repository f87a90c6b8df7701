"""The first seconds of a backlog, where the server enforces the file's rate with little room."""

from __future__ import annotations

import time

from tests.benchmarks.bed import bed, person
from tests.benchmarks.table import Figure

CALLS_PER_SECOND, SECONDS = 40, 15


def measure() -> Figure:
    rows, shares, throttled = [], [], 0
    for burst in (4, 2):
        with bed(workers=4) as made:
            made.connect(calls_per_minute=CALLS_PER_SECOND * 60, max_in_flight=20)
            made.settings_of(latency_ms=200, calls_per_second=CALLS_PER_SECOND, burst=burst)
            made.start()
            made.settled([made.producer.enqueue("camp", (person(n) for n in range(10_000_000, 10_000_004)))])
            time.sleep(3)  # idle, as before a backlog
            before = made.summary()["contact_ok"]
            begun = time.monotonic()
            made.producer.enqueue("camp", (person(n) for n in range(CALLS_PER_SECOND * SECONDS * 3)))
            made.wait_until(lambda: time.monotonic() >= begun + SECONDS, "the time is over")  # noqa: B023  # called at once
            summary = made.summary()
        shares.append((summary["contact_ok"] - before) / (CALLS_PER_SECOND * SECONDS))
        throttled += summary["throttled"]
        rows.append([str(burst), f"{summary['contact_ok'] - before}", f"{shares[-1]:.1%}", str(summary["throttled"])])
    return Figure(
        f"First {SECONDS} s of a backlog, the file's rate enforced",
        target="at least 97 %, and not one 429",
        result=f"{min(shares):.1%}, {throttled} refused",
        reached=min(shares) >= 0.97 and throttled == 0,
        columns=["burst", f"calls of {CALLS_PER_SECOND * SECONDS}", "share", "429"],
        rows=rows,
        note="Four workers, 200 ms a call. Counted from when enqueueing begins: the way to the first call and the last 200 ms lack.",
    )
