"""Calls for a day's trace: ten updates of each contact, six in ten of which change nothing."""

from __future__ import annotations

import random

from tests.benchmarks.bed import bed, person
from tests.benchmarks.table import Figure

CONTACTS, UPDATES, CHANGING = 1_000, 10, 0.4


def measure() -> Figure:
    dice = random.Random(1)
    revision = dict.fromkeys(range(CONTACTS), 0)
    fewest = 0
    with bed(workers=2) as made:
        made.connect()
        made.start()
        for update in range(UPDATES):
            profiles = []
            for number in range(CONTACTS):
                changes = update == 0 or dice.random() < CHANGING
                revision[number] += changes
                fewest += changes
                profiles.append(person(number, revision=revision[number], at=f"2026-01-01T{update:02}:00:00Z"))
            dice.shuffle(profiles)
            made.settled([made.producer.enqueue("camp", profiles)])
        calls = made.summary()["contact_calls"]
    return Figure(
        "Calls for a day's trace",
        target="at most 1.05 x the fewest possible",
        result=f"{calls / fewest:.3f} x",
        reached=calls <= 1.05 * fewest,
        columns=["profiles", "changes", "calls"],
        rows=[[f"{CONTACTS * UPDATES:,}", f"{fewest:,}", f"{calls:,}"]],
        note="Every update arrives after the one before was delivered, so that merging saves nothing.",
    )
