"""An idle pipeline and one profile: from enqueueing until its call arrives at the server."""

from __future__ import annotations

import random
import time

from tests.benchmarks.bed import bed, percentile, person
from tests.benchmarks.table import Figure

PROFILES = 300


def measure() -> Figure:
    dice = random.Random(1)
    sent: dict[str, float] = {}
    with bed(workers=2) as made:
        made.connect()
        made.start()
        made.settled([made.producer.enqueue("camp", (person(n) for n in range(9_000_000, 9_000_100)))])
        for number in range(PROFILES):
            profile = person(number)
            sent[profile["identityMap"]["contactKey"][0]["id"]] = time.time()
            made.producer.enqueue("camp", [profile])
            time.sleep(dice.uniform(0.05, 0.25))  # idle in between
        made.wait_until(lambda: sent.keys() <= made.contacts().keys(), "all arrive")
        calls = made.admin("GET", "ledger?since=0")["calls"]
    started = {call["contact_key"]: call["started"] for call in calls}
    waits = [(started[key] - sent[key]) * 1000 for key in sent]
    p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
    return Figure(
        "Idle pipeline: enqueued until the call arrives",
        target="p50 at most 30 ms, p99 at most 100 ms",
        result=f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        reached=p50 <= 30 and p99 <= 100,
        columns=["p50", "p95", "p99", "most"],
        rows=[[f"{value:.1f} ms" for value in (p50, percentile(waits, 0.95), p99, max(waits))]],
    )
