"""CPU per contact of each stage, each alone on one thread: where the time of a contact goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from app.delivery.wakeup import Delivery
from app.event_loop import EVENT_LOOP
from app.lanes.delivered import encode
from app.lanes.entries import read_entry
from app.lanes.merge import Merged, Stamp, Tags, Update, merge
from app.mapping.update import ContactUpdate
from tests.benchmarks.bed import Bed, bed, person
from tests.benchmarks.table import Figure

CONTACTS = 4_000


def measure() -> Figure:
    with bed(workers=0, static=True) as made:
        made.connect()
        stages = {name: seconds / CONTACTS * 1000 for name, seconds in take(made).items()}
    total = sum(stages.values())
    return Figure(
        "CPU per contact by stage",
        target="none",
        result=f"{total:.3f} ms together",
        reached=None,
        columns=["stage", "ms", "share"],
        rows=[[name, f"{ms:.3f}", f"{ms / total:.0%}"] for name, ms in stages.items()],
        note="One thread, one stage after the other; asking the pacer, settling and Celery come on top, once for many contacts.",
    )


def take(made: Bed) -> dict[str, float]:
    ring = made.resources.ring
    pepper = made.resources.destinations.pepper("camp")
    worker = Delivery(made.resources)
    destination = made.resources.destinations.get("camp")
    mapping, client = worker.mapping(destination), worker.client(destination)
    EVENT_LOOP.run(
        client.contacts.patch(mapping.body("warm", {mapping.email: "warm@mail.test"}))
    )  # token and connection
    people = [person(number) for number in range(CONTACTS)]
    seconds: dict[str, float] = {}

    def timed(name: str, stage: Callable[[], Any]) -> Any:
        begun = time.process_time()
        found = stage()
        seconds[name] = time.process_time() - begun
        return found

    timed("enqueue: seal, choose the lane, append", lambda: made.producer.enqueue("camp", people))
    raws = [
        [entry_id, [part for pair in fields.items() for part in pair]]
        for key in made.redis.scan_iter("*:live")
        for entry_id, fields in made.redis.xrange(key)
    ]
    entries = timed(
        "open: unseal, parse",
        lambda: [(entry := read_entry(raw, backfill=False), entry.open(ring, "camp"))[1] for raw in raws],
    )
    updates: list[ContactUpdate] = timed(
        "map: read ten fields, check them",
        lambda: [mapping.resolve(profile, occurred_at_ms=1, arrived_at_ms=1, now_ms=2) for profile in entries],
    )
    tags = Tags()
    merged: list[Merged] = timed(
        "merge: newest values, digests",
        lambda: [
            merge([Update(update.values, Stamp(live=True, ms=1, number=1))], {}, pepper=pepper, tags=tags)
            for update in updates
        ],
    )
    bodies = timed(
        "write the body and the delivered row",
        lambda: [
            (mapping.body(update.contact_key, one.send), encode(one.after, 2))
            for update, one in zip(updates, merged, strict=True)
        ],
    )
    timed("call: HTTP, judge the answer", lambda: [EVENT_LOOP.run(client.contacts.patch(body)) for body, _ in bodies])
    worker.close()
    return seconds
