"""Two accounts and eight destinations, one of them with a thousand times the backlog: shares and latencies."""

from __future__ import annotations

import time

from tests.benchmarks.bed import Bed, bed, percentile, person
from tests.benchmarks.table import Figure

CALLS_PER_SECOND = 40
SECONDS = 40
SMALL = ("small-1", "small-2", "small-3")
EQUAL = ("equal-1", "equal-2", "equal-3", "equal-4")


def measure() -> Figure:
    with bed(workers=4) as made:
        for tenant, names in (("one", ("big", *SMALL)), ("two", EQUAL)):
            for name in names:
                made.connect(name, tenant=tenant, calls_per_minute=CALLS_PER_SECOND * 60, max_in_flight=40)
            made.settings_of(tenant, latency_ms=200, calls_per_second=CALLS_PER_SECOND, burst=CALLS_PER_SECOND / 5)
        made.start()
        alone = trickle(made, 0)
        made.producer.enqueue("big", (person(n) for n in range(40_000)))
        for number, name in enumerate(EQUAL):
            made.producer.enqueue(name, (person(n + number * 100_000) for n in range(1_000)))
        made.wait_until(lambda: made.summary("one")["contact_ok"] > 150, "under way")
        begun = int(time.time()) + 1
        beside = trickle(made, 1)
        made.wait_until(lambda: time.time() > begun + SECONDS + 1, "the time is over")
        shares, throttled = {}, 0
        for tenant in ("one", "two"):
            summary = made.summary(tenant)
            calls = sum(summary["per_second"].get(str(second), 0) for second in range(begun, begun + SECONDS))
            shares[tenant] = calls / (CALLS_PER_SECOND * SECONDS)
            throttled += summary["throttled"]
    ratio = percentile(beside, 0.95) / percentile(alone, 0.95)
    return Figure(
        "Two accounts, eight destinations, one with 1,000 times the backlog",
        target="each account at least 97 % of its rate; p95 latency of the small ones at most 2 x of alone",
        result=f"{min(shares.values()):.1%}, {ratio:.2f} x, {throttled} refused",
        reached=min(shares.values()) >= 0.97 and ratio <= 2 and throttled == 0,
        columns=["", "alone", "beside"],
        rows=[
            ["p50 of the small ones, s", f"{percentile(alone, 0.5):.3f}", f"{percentile(beside, 0.5):.3f}"],
            ["p95 of the small ones, s", f"{percentile(alone, 0.95):.3f}", f"{percentile(beside, 0.95):.3f}"],
            ["share, account of the big one", "", f"{shares['one']:.2%}"],
            ["share, account of four equal ones", "", f"{shares['two']:.2%}"],
        ],
        note="Small ones: a profile every 0.3 s in turn; latency from enqueueing to the answer, of which the server takes 200 ms.",
    )  # fmt: skip


def trickle(made: Bed, round_number: int) -> list[float]:
    """Latencies of profiles that come in one by one for the small destinations of account one."""
    sent: dict[str, float] = {}
    for number in range(100):
        profile = person(5_000_000 + round_number * 1_000 + number)
        sent[profile["identityMap"]["contactKey"][0]["id"]] = time.time()
        made.producer.enqueue(SMALL[number % len(SMALL)], [profile])
        time.sleep(0.3)  # a trickle
    made.wait_until(lambda: sent.keys() <= made.contacts("one").keys(), "the trickle arrives")
    calls = made.admin("GET", "ledger?since=0", tenant="one")["calls"]
    ended = {call["contact_key"]: call["ended"] for call in calls}
    return [ended[key] - sent[key] for key in sent]
