"""What a paced call costs, and how many accounts one Redis carries at their full rate."""

from __future__ import annotations

import time
from typing import Any

from tests.benchmarks.bed import Bed, bed, person
from tests.benchmarks.table import Figure

CALLS_PER_SECOND = 40
SECONDS = 80  # a lane reads 100 profiles at a time, as many as it calls in 40 s: what they cost has to be within
BACKLOG_SECONDS = SECONDS + 110  # read ahead and not called by the end: 200 profiles in each of sixteen lanes


def measure() -> Figure:
    rows = []
    found = {}
    for accounts in (1, 10):
        with bed(workers=4) as made:
            for number in range(accounts):
                made.connect(
                    f"camp-{number}", tenant=f"mc{number}", calls_per_minute=CALLS_PER_SECOND * 60, max_in_flight=20
                )
                made.settings_of(f"mc{number}", latency_ms=200)
            made.start()
            for number in range(accounts):
                made.producer.enqueue(f"camp-{number}", (person(n) for n in range(CALLS_PER_SECOND * BACKLOG_SECONDS)))
            made.wait_until(lambda: calls(made, accounts) > accounts * CALLS_PER_SECOND * 3, "under way")  # noqa: B023
            before = take(made, accounts)
            time.sleep(SECONDS)
            after = take(made, accounts)
        spent = {name: after[name] - before[name] for name in before}
        number = spent["calls"]
        found[accounts] = spent
        rows.append([
            str(accounts), f"{number / SECONDS / accounts:.1f}", f"{spent['redis'] / number * 1000:.2f}",
            f"{spent['commands'] / number:.1f}", f"{spent['processes'] / number * 1000:.2f}",
            f"{spent['redis'] / SECONDS:.0%}",
        ])  # fmt: skip
    one, ten = found[1], found[10]
    carried = 10 * SECONDS / ten["redis"]
    return Figure(
        f"A paced call, four workers, {CALLS_PER_SECOND} calls/s an account",
        target="Redis 0.3 ms and 25 commands, our processes 1.5 ms a call; 80 accounts on one Redis",
        result=f"Redis {one['redis'] / one['calls'] * 1000:.2f} ms and {one['commands'] / one['calls']:.0f} commands, processes "
        f"{one['processes'] / one['calls'] * 1000:.2f} ms; {carried:.0f} accounts",
        reached=one["redis"] <= 0.0003 * one["calls"] and one["commands"] <= 25 * one["calls"]
        and one["processes"] <= 0.0015 * one["calls"] and carried >= 80,
        columns=["accounts", "calls/s each", "Redis ms", "commands", "processes ms", "of Redis' core"],
        rows=rows,
        note="Commands inside scripts are counted. Accounts on one Redis: by calculation, from what ten take of its core.",
    )  # fmt: skip


def calls(made: Bed, accounts: int) -> int:
    return sum(made.summary(f"mc{number}")["contact_ok"] for number in range(accounts))


def take(made: Bed, accounts: int) -> dict[str, float]:
    info: Any = made.redis.info("everything")
    commands = sum(value["calls"] for name, value in info.items() if name.startswith("cmdstat_"))
    return {
        "calls": calls(made, accounts),
        "redis": info["used_cpu_user"] + info["used_cpu_sys"],
        "commands": commands,
        "processes": sum(made.cpu_seconds().values()),
    }
