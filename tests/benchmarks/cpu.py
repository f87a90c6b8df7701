"""CPU time per delivered contact, all processes of the pipeline together, against a plain loop of `requests.Session.patch`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import requests

from app.delivery.wakeup import Delivery
from app.devstack.stack import listens, port_from
from app.mapping.update import Excluded
from tests.benchmarks.bed import Bed, bed, person, static_command
from tests.benchmarks.table import Figure

CONTACTS = 20_000
LOOP = 4_000
LOOPS, CALLS_EACH = 32, 25  # as many calls wait at once as the pipeline has in flight at 200 ms


def measure() -> Figure:
    rows, ratios, fair = [], {}, {}
    for latency_ms, contacts in ((0, CONTACTS), (20, CONTACTS), (200, CONTACTS // 2)):
        with bed(workers=2, static=True, latency_ms=latency_ms) as made:
            made.connect()
            made.start()
            settle_in(made)
            with static_server() as quick:
                before = plain_loop(made, quick)
                ours = pipeline(made, contacts)
                after = plain_loop(made, quick)
            many = plain_loops(made, made.base("mctest"))
        plain, total = (before + after) / 2, sum(ours.values())
        ratios[latency_ms], fair[latency_ms] = total / plain, total / many
        workers = sum(seconds for name, seconds in ours.items() if name.startswith("worker"))
        rows.append([
            f"{latency_ms} ms", f"{ours['producer'] * 1000:.3f}", f"{workers * 1000:.3f}", f"{total * 1000:.3f}",
            f"{plain * 1000:.3f}", f"{total / plain:.2f} x", f"{many * 1000:.3f}", f"{total / many:.2f} x",
        ])  # fmt: skip
    return Figure(
        "CPU per delivered contact, unpaced, against a plain loop of requests.Session.patch",
        target="at most 0.75 x at 200 ms a call",
        result=", ".join(f"{ratio:.2f} x at {latency_ms} ms" for latency_ms, ratio in ratios.items())
        + f"; {fair[200]:.2f} x of {LOOPS} loops that wait 200 ms as well",
        reached=ratios[200] <= 0.75,
        columns=[
            "a call takes",
            "producer",
            "workers",
            "all processes (ms)",
            "plain loop (ms)",
            "ratio",
            f"{LOOPS} loops (ms)",
            "ratio",
        ],
        rows=rows,
        note="The plain loop calls a server that answers at once, so that it costs as little as it can: what comes back within a "
        "millisecond finds its code and data in the processor's caches, which calls that wait do not. The loops on threads call the "
        "server that the pipeline calls, about as often.",
    )


@contextmanager
def static_server() -> Iterator[str]:
    """The base URL of a server that answers at once."""
    port = port_from(0)
    process = subprocess.Popen(static_command(0)(port))
    try:
        while not listens(port):
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def settle_in(made: Bed) -> None:
    """Token, catalog, imports and connections are not what is measured."""
    made.settled([made.producer.enqueue("camp", (person(n) for n in range(10_000_000, 10_000_400)))])


def pipeline(made: Bed, contacts: int) -> dict[str, float]:
    """Seconds of CPU per contact by process; the producer is one of its own."""
    start = made.cpu_seconds()
    script = "from tests.benchmarks.cpu import produce; produce(%d)" % contacts  # noqa: UP031  # braces would be no shorter
    environ = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ACTIVATION_REDIS_URL": made.settings.redis_url,
        "ACTIVATION_SECRET_KEYS": made.settings.secret_keys,
    }
    done = subprocess.run([sys.executable, "-c", script], env=environ, check=True, capture_output=True, text=True)
    job, producer_seconds = done.stdout.split()
    total = made.settled([job])
    if total.outcomes["delivered"] != contacts:
        raise RuntimeError(f"not all were delivered: {total.outcomes}")
    end = made.cpu_seconds()
    return {
        "producer": float(producer_seconds) / contacts,
        **{name: (end[name] - start[name]) / contacts for name in start},
    }


def produce(contacts: int) -> None:
    """In the producer's process: enqueue, and print the job and the CPU that enqueueing took."""
    from app.producer import Producer

    producer = Producer.from_env()
    people = [person(number) for number in range(contacts)]
    start = time.process_time()
    job = producer.enqueue("camp", people)
    print(job, time.process_time() - start)


def bodies_of(made: Bed, count: int) -> list[dict[str, Any]]:
    """What the pipeline sends for so many new contacts."""
    destination = made.resources.destinations.get("camp")
    mapping = Delivery(made.resources).mapping(destination)
    bodies = []
    for number in range(count):
        update = mapping.resolve(person(number), occurred_at_ms=0, arrived_at_ms=0, now_ms=0)
        if isinstance(update, Excluded):
            raise TypeError("a benchmark's profile is excluded")
        values = {name: found.value for name, found in update.values.items()}
        bodies.append(orjson.loads(mapping.body(update.contact_key, values)))
    return bodies


def plain_loop(made: Bed, base: str) -> float:
    """Seconds of CPU per call, with the bodies that the pipeline sends and nothing around them."""
    bodies = [orjson.dumps(body) for body in bodies_of(made, LOOP)]
    begun = time.process_time()
    send_all(bodies, base)
    return (time.process_time() - begun) / LOOP


def plain_loops(made: Bed, base: str) -> float:
    """The same of many loops on threads, which all wait for the pipeline's server."""
    bodies = [orjson.dumps(body) for body in bodies_of(made, LOOPS * CALLS_EACH)]
    begun = time.process_time()
    with ThreadPoolExecutor(LOOPS) as threads:
        done = [threads.submit(send_all, bodies[number::LOOPS], base) for number in range(LOOPS)]
        for loop in done:
            loop.result()
    return (time.process_time() - begun) / len(bodies)


def send_all(bodies: list[bytes], base: str) -> None:
    url = f"{base}/contacts/v1/contacts"
    headers = {"Authorization": "Bearer " + "t" * 40, "Content-Type": "application/json"}
    with requests.Session() as session:
        for body in bodies:
            answer = session.patch(url, data=body, headers=headers, timeout=(5, 120))
            answer.raise_for_status()
            if answer.json()["hasErrors"]:
                raise RuntimeError("refused")
