"""A million profiles waiting: what each costs in Redis, and whether a worker that drains them grows."""

from __future__ import annotations

import psutil

from tests.benchmarks.bed import bed, person
from tests.benchmarks.table import Figure

PROFILES = 1_000_000


def measure() -> Figure:
    with bed(workers=1, static=True) as made:
        made.connect()
        made.settled([made.producer.enqueue("camp", ())])
        before = made.redis.info("memory")["used_memory"]
        made.producer.enqueue("camp", (person(number) for number in range(PROFILES)))
        waiting = (made.redis.info("memory")["used_memory"] - before) / PROFILES
        payload = sum(
            len(fields[b"p"])
            for key in made.redis.scan_iter("*:live")
            for _, fields in made.redis.xrange(key, count=100)
        ) / (16 * 100)
        made.start()
        worker = psutil.Process(made.stack.pid("worker-1"))
        sizes = []
        for thousands in (10, 30, 50):
            made.wait_until(lambda least=thousands: made.static_count() >= least * 1_000, "drained so far", 300)
            sizes.append(worker.memory_info().rss / 2**20)
    flat = sizes[-1] <= 1.1 * sizes[0]
    return Figure(
        "1,000,000 profiles waiting",
        target="at most 1.5 x the sealed payload; worker memory flat",
        result=f"{waiting / payload:.2f} x, worker {sizes[0]:.0f} to {sizes[-1]:.0f} MiB",
        reached=waiting <= 1.5 * payload and flat,
        columns=["", ""],
        rows=[
            ["Redis, bytes per waiting profile", f"{waiting:.0f}"],
            ["sealed payload, bytes", f"{payload:.0f}"],
            ["worker after 10,000, 30,000 and 50,000 calls, MiB", ", ".join(f"{size:.0f}" for size in sizes)],
        ],
    )
