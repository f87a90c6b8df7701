"""How much of an enforced rate is used, and whether it is ever exceeded: four workers, a backlog, a slow server."""

from __future__ import annotations

import time

from tests.benchmarks.bed import Bed, bed, person
from tests.benchmarks.table import Figure

CALLS_PER_SECOND = 40
SECONDS = 60


def measure() -> Figure:
    rows, shares, throttled = [], [], 0
    for latency_ms in (200, 1500):
        with bed(workers=4) as made:
            made.connect(calls_per_minute=CALLS_PER_SECOND * 60, max_in_flight=120)
            made.settings_of(latency_ms=latency_ms, calls_per_second=CALLS_PER_SECOND, burst=CALLS_PER_SECOND / 5)
            made.start()
            share, refused = used(made, latency_ms)
        shares.append(share)
        throttled += refused
        rows.append([f"{latency_ms} ms", f"{share:.2%}", str(refused)])
    return Figure(
        f"Share of {CALLS_PER_SECOND} calls/s used for {SECONDS} s, four workers",
        target="at least 99.5 %, and not one 429",
        result=f"{min(shares):.1%}, {throttled} refused",
        reached=min(shares) >= 0.995 and throttled == 0,
        columns=["latency of a call", "share of the rate", "429"],
        rows=rows,
        note="The server refuses what exceeds its rate by more than a fifth of a second's calls.",
    )


def used(made: Bed, latency_ms: int) -> tuple[float, int]:
    lead = 3 + 2 * latency_ms // 1000
    made.producer.enqueue("camp", (person(n) for n in range(CALLS_PER_SECOND * (SECONDS + 4 * lead))))
    made.wait_until(lambda: made.summary()["contact_ok"] >= CALLS_PER_SECOND * lead, "under way")
    begun = int(time.time()) + 1
    made.wait_until(lambda: time.time() > begun + SECONDS + 1, "the time is over")
    summary = made.summary()
    counted = sum(summary["per_second"].get(str(second), 0) for second in range(begun, begun + SECONDS))
    return counted / (CALLS_PER_SECOND * SECONDS), summary["throttled"]
