"""Contacts per second of two worker processes, against one Celery task for each contact."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.benchmarks.bed import Bed, bed, person
from tests.benchmarks.cpu import bodies_of, settle_in
from tests.benchmarks.table import Figure

OURS, USUAL = 20_000, 3_000


def measure() -> Figure:
    with bed(workers=2, static=True) as made:
        made.connect()
        made.start()
        settle_in(made)
        ours = []
        for run in range(2):
            begun = time.perf_counter()
            made.settled([made.producer.enqueue("camp", (person(n + run * 1_000_000) for n in range(OURS)))])
            ours.append(OURS / (time.perf_counter() - begun))
        for name in made.workers:
            made.kill(name, 19)  # stopped, so that they take nothing from the other way
        usual = usual_way(made)
        for name in made.workers:
            made.kill(name, 18)
    ratio = max(ours) / usual
    return Figure(
        "Contacts per second, two worker processes",
        target="at least 4 x one Celery task per contact",
        result=f"{ratio:.1f} x",
        reached=ratio >= 4,
        columns=["way", "contacts per second"],
        rows=[
            ["pipeline, two workers", ", ".join(f"{rate:,.0f}" for rate in ours)],
            ["one task per contact, prefork with two processes", f"{usual:,.0f}"],
        ],
        note="From the first profile enqueued to the last contact called; the server answers at once.",
    )


def usual_way(made: Bed) -> float:
    broker = f"{made.settings.broker_url.rpartition('/')[0]}/5"
    os.environ["USUAL_BROKER"] = broker
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    from tests.benchmarks.usual import app, update

    app.conf.broker_url = broker
    made.stack.start(
        "usual",
        [sys.executable, "-m", "celery", "-A", "tests.benchmarks.usual", "worker", "-c", "2", "-l", "INFO",
         "--without-gossip", "--without-mingle"],
    )  # fmt: skip
    made.wait_until(lambda: made.ready("usual"), "the usual way is ready")
    url = f"{made.base('mctest')}/contacts/v1/contacts"
    bodies = bodies_of(made, USUAL)
    before = made.static_count()
    begun = time.perf_counter()
    for body in bodies:
        update.delay(url, body)
    made.wait_until(lambda: made.static_count() - before >= USUAL, "all were called")
    return USUAL / (time.perf_counter() - begun)
