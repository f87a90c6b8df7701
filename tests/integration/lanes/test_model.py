"""Lanes, merging, settlement and delivered state on a real Redis, against the simplest possible model of them.

The model: for each contact and attribute the newest value wins. Producers, workers, crashes, lost wake-ups and taken-over
leases come in any order; in the end the account must hold exactly what the model says, and every profile have one outcome.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.delivery.contacts import Contacts
from app.errors import CallError, LeaseLost
from app.keys import LANES
from app.lanes.delivered import contact_tag
from app.lanes.entries import purpose, read_entry
from app.lanes.lane import Lane
from app.lanes.outcomes import Ledger
from app.mapping.compiled import ContactUpdate
from app.producer import lane_of
from app.reporting.jobs import read_job
from app.sweep.sweep import sweep
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile

CONTACTS = [f"c-{number}" for number in range(4)]
FIELDS = {"first": "Email Demographics.First Name", "last": "Email Demographics.Last Name"}
MOMENTS = [f"2026-01-01T00:{minute:02}:{second:02}Z" for minute in range(10) for second in range(60)]
lanes_used = st.integers(0, len(CONTACTS) - 1)


class Model(RuleBasedStateMachine):
    make: Any  # () -> Bench

    @initialize()
    def begin(self) -> None:
        self.bench: Bench = self.make()
        self.jobs: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.newest: dict[str, dict[str, tuple[str, str]]] = {}
        self.moments = iter(random.Random(7).sample(MOMENTS, len(MOMENTS)))  # each once, in no order
        self.wakes: list[tuple[int, str]] = []
        self.zombies: list[Lane] = []
        self.abandoned: set[int] = set()  # lanes whose worker died: they wait for the sweep

    # -- producers -----------------------------------------------------------------------------------------------------

    @rule(
        contacts=st.lists(st.sampled_from(CONTACTS), min_size=1, max_size=5),
        fields=st.sampled_from([("first",), ("last",), ("first", "last")]),
        backfill=st.booleans(),
    )
    def come_in(self, contacts: list[str], fields: tuple[str, ...], backfill: bool) -> None:
        self.enqueue(contacts, fields, backfill=backfill)

    def enqueue(self, contacts: list[str], fields: tuple[str, ...], *, backfill: bool) -> None:
        batch = []
        for key in contacts:
            at = next(self.moments)
            values = {field: f"{field} {at}" for field in fields}
            batch.append(profile(key, email=f"{key}@mail.test", at=at, **values))  # type: ignore[arg-type]  # names of its own
            held = self.newest.setdefault(key, {})
            for field, value in values.items():
                held[field] = max(held.get(field, ("", "")), (at, value))
        self.sent += batch
        self.jobs.append(self.bench.producer.enqueue("camp", batch, backfill=backfill))
        self.wakes += self.bench.wake_ups()

    @precondition(lambda self: self.sent)
    @rule(count=st.integers(1, 5), force=st.booleans())
    def repeat_what_was_sent(self, count: int, force: bool) -> None:
        self.jobs.append(self.bench.producer.enqueue("camp", self.sent[-count:], force=force))
        self.wakes += self.bench.wake_ups()

    # -- workers -------------------------------------------------------------------------------------------------------

    # no precondition: how many wake-ups there are depends on the lanes, which a random pepper decides
    @rule(which=st.integers(0, 50), worker=st.integers(0, 1), count=st.integers(1, 3))
    def deliver_wake_ups(self, which: int, worker: int, count: int) -> None:
        for _ in range(min(count, len(self.wakes))):
            lane, mark = self.wakes.pop(which % len(self.wakes))
            self.drain(lane, mark, worker)

    def drain(self, lane: int, mark: str = "1", worker: int = 0) -> None:
        following = self.bench.workers[worker].drain("camp", lane, mark)
        self.abandoned.discard(lane)
        self.bench.producer.wake("camp", following.wake)
        self.wakes += self.bench.wake_ups()
        if following.come_back_seconds is not None:
            self.wakes.append((lane, following.mark))

    @rule(which=st.integers(0, 50))
    def lose_a_wake_up(self, which: int) -> None:
        if self.wakes:
            self.wakes.pop(which % len(self.wakes))

    @rule(contact=lanes_used, calls=st.integers(0, 2))
    def a_worker_dies(self, contact: int, calls: int) -> None:
        """After it has read its window and made some calls, and before it could settle."""
        lane = self.open(contact)
        if lane is None:
            return
        read = lane.read(live=50, backfill=50)
        bench, worker = self.bench, self.bench.workers[0]
        mapping = worker.mapping(bench.destination)
        contacts = Contacts(
            bench.destination, mapping, Ledger("camp", bench.resources.ring, bench.resources.settings),
            bench.resources.destinations.pepper("camp"), lane.delivered,
        )  # fmt: skip
        contacts.now_ms = read.now_ms
        updates = []
        for raws, backfill in ((read.live, False), (read.backfill, True)):
            for raw in raws:
                entry = read_entry(raw, backfill=backfill, ring=bench.resources.ring, seal_purpose=purpose("camp"))
                update = mapping.resolve(entry.profile, occurred_at_ms=entry.occurred_at_ms, now_ms=read.now_ms)
                assert isinstance(update, ContactUpdate)
                updates.append((entry, update))
        contacts.take_in(updates)
        for _ in range(min(calls, contacts.waiting)):
            with suppress(CallError):  # the fault that was ordered for it
                worker.client(bench.destination).contacts.patch(contacts.body(contacts.next()))
        self.expire(lane)

    @rule(contact=lanes_used)
    def a_worker_loses_its_lease(self, contact: int) -> None:
        lane = self.open(contact)
        if lane is not None:
            self.expire(lane)

    def open(self, contact: int) -> Lane | None:
        number = lane_of(contact_tag(CONTACTS[contact], self.bench.resources.destinations.pepper("camp")))
        lane = Lane(self.bench.redis, "camp", number, lease_seconds=15)
        return lane if lane.open() else None

    def expire(self, lane: Lane) -> None:
        self.bench.redis.delete(self.bench.keys.lane(lane.number).lease)
        self.zombies.append(lane)
        self.abandoned.add(lane.number)

    @rule()
    def those_who_lost_their_lease_can_do_nothing(self) -> None:
        for lane in self.zombies:
            with pytest.raises(LeaseLost):
                lane.read(live=1, backfill=1)
            ledger = Ledger("camp", self.bench.resources.ring, self.bench.resources.settings)
            ledger.pending.count("calls", 1_000_000)
            with pytest.raises(LeaseLost):
                lane.settle(ledger.take())
            assert not lane.may_send()
            assert not lane.release(mark_seconds=1)
        self.zombies.clear()

    # -- trouble -------------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["cut_before", "cut_after", "server_error"]), contact=st.sampled_from(CONTACTS))
    def a_call_goes_wrong(self, kind: str, contact: str) -> None:
        self.bench.admin("POST", "faults", {"kind": kind, "times": 1, "contact_key": contact})
        self.enqueue([contact, "c-0"], ("first",), backfill=False)

    @rule()
    def beat_sweeps(self) -> None:
        sweep(self.bench.resources, self.bench.producer)
        self.wakes += self.bench.wake_ups()
        self.abandoned.clear()

    @invariant()
    def no_lane_sleeps_on_work(self) -> None:
        for number in range(LANES):
            keys = self.bench.keys.lane(number)
            work, wake = self.bench.redis.xlen(keys.live) + self.bench.redis.xlen(keys.backfill), keys.wake
            assert not work or number in self.abandoned or self.bench.redis.exists(wake), f"lane {number} sleeps"

    # -- the end -------------------------------------------------------------------------------------------------------

    def drain_all(self) -> None:
        bench = self.bench
        bench.admin("DELETE", "faults")
        deadline = time.monotonic() + 20
        while any(
            bench.redis.xlen(keys.live) + bench.redis.xlen(keys.backfill) + bench.redis.zcard(keys.later)
            for keys in map(bench.keys.lane, range(LANES))
        ):
            assert time.monotonic() < deadline, "the lanes do not empty"
            for number in range(LANES):
                bench.redis.delete(bench.keys.lane(number).wake)  # the marks of lost wake-ups run out
            sweep(bench.resources, bench.producer)
            for lane, mark in bench.wake_ups():
                self.drain(lane, mark)
            self.wakes.clear()

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        try:
            self.drain_all()
            bench = self.bench
            held = {
                key: {field: found[name] for field, name in FIELDS.items() if name in found}
                for key, found in bench.admin("GET", "contacts").items()
            }
            assert held == {
                key: {field: value for field, (_, value) in fields.items()} for key, fields in self.newest.items()
            }
            for job in (read_job(bench.redis, name) for name in self.jobs):
                assert job.pending == 0
                assert sum(job.outcomes.values()) == job.received
                assert job.outcomes["failed"] == job.outcomes["excluded"] == 0
            summary = bench.admin("GET", "ledger/summary")
            assert summary["overlaps"] == 0
            for keys in map(bench.keys.lane, range(LANES)):
                assert not bench.redis.exists(keys.later, keys.window, keys.suspects, keys.lease)
                assert bench.redis.xlen(keys.parked) == 0
            calls = summary["contact_calls"]
            self.jobs.append(bench.producer.enqueue("camp", self.sent))
            self.drain_all()
            assert bench.admin("GET", "ledger/summary")["contact_calls"] == calls, "a call that changed nothing"
        finally:
            self.bench.close()


def test_lanes_keep_their_promises(redis_port: int, sandbox_port: int) -> None:
    class Here(Model):
        def make(self) -> Bench:
            return Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Here,
        settings=settings(
            max_examples=30, stateful_step_count=40, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck), print_blob=False,
        ),
    )  # fmt: skip
