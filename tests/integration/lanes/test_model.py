"""Lanes, merging, settlement and delivered state on a real Redis, against the simplest possible model of them.

The model: of each contact and attribute the value that is last in the one order wins (its version, then live over backfill, then
what was enqueued later). Producers, workers, crashes, lost wake-ups, taken-over leases, calls that go wrong, outages, pauses, a
contact key that is mapped anew and a Redis that is full come in any order; in the end the account must hold exactly what the
model says, and every profile have one outcome.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
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

from app.delivery.working_set import WorkingSet
from app.destinations.state import Status
from app.errors import CallError, DestinationUnreachable, LeaseLost, StorageRefuses
from app.event_loop import EVENT_LOOP
from app.keys import LANES
from app.lanes.delivered import contact_tag
from app.lanes.entries import read_entry
from app.lanes.lane import lane_of
from app.mapping.update import ContactUpdate
from app.reporting.jobs import read_job
from app.sweep import sweep
from tests.integration.lanes.conftest import Bench, HeldLane, take_in
from tests.system.rig import profile

PEOPLE = range(4)
NAMINGS = 4  # so many times the contact key may be mapped anew
FIELDS = {"first": "Email Demographics.First Name", "last": "Email Demographics.Last Name"}
# few, so that many updates have the same one
VERSIONS = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]
AHEAD = "2999-01-01T00:00:00Z"  # a sender whose clock is ahead: it counts as the arrival
people = st.integers(0, len(PEOPLE) - 1)


def unexpected(*_: object) -> None:
    raise AssertionError("no contact has another lane")


@dataclass(frozen=True)
class Sent:
    """A profile as the model knows it; `order` is its place in the one order."""

    number: int
    person: int
    at: str
    live: bool
    values: dict[str, str]

    @property
    def order(self) -> tuple[str, int, bool, int]:
        # what counts as of its arrival is later than all that says when, and in order among its like
        arrival = self.number if self.at == AHEAD else 0
        return (self.at, arrival, self.live, self.number)

    def as_profile(self) -> dict[str, Any]:
        made = profile("", email=f"{self.person}@mail.test", at=self.at, **self.values)  # type: ignore[arg-type]  # names of its own
        ids = {f"n{naming}": [{"id": f"{self.person}.n{naming}"}] for naming in range(NAMINGS)}
        return {**made, "identityMap": ids, "number": self.number}


class Model(RuleBasedStateMachine):
    make: Any  # () -> Bench

    @initialize()
    def begin(self) -> None:
        self.bench: Bench = self.make()
        self.naming = 0
        self.bench.connect(key="n0")
        self.jobs: list[str] = []
        self.sent: list[Sent] = []
        self.counted: list[Sent] = []  # of these the contacts of the present naming must hold the last values
        self.wakes: list[tuple[int, str]] = []
        self.zombies: list[HeldLane] = []
        self.abandoned: set[int] = set()  # lanes whose worker died: they wait for the sweep
        self.full = False

    # -- producers -----------------------------------------------------------------------------------------------------

    @rule(
        who=st.lists(people, min_size=1, max_size=5),
        fields=st.sampled_from([("first",), ("last",), ("first", "last")]),
        at=st.sampled_from([*VERSIONS, AHEAD]),
        backfill=st.booleans(),
    )
    def come_in(self, who: list[int], fields: tuple[str, ...], at: str, backfill: bool) -> None:
        batch = []
        for person in who:
            number = len(self.sent) + len(batch)
            batch.append(Sent(number, person, at, not backfill, {field: f"{field} {number}" for field in fields}))
        self.enqueue(batch, backfill=backfill)

    def enqueue(self, batch: list[Sent], *, backfill: bool = False, force: bool = False, counts: bool = True) -> None:
        time.sleep(0.002)  # what arrives in one ms has one version: the model wants to know which is later
        try:
            job = self.bench.producer.enqueue(
                "camp", [sent.as_profile() for sent in batch], backfill=backfill, force=force
            )
        except StorageRefuses:
            assert self.full
            return
        assert not self.full
        self.jobs.append(job)
        if counts:
            self.sent += batch
            self.counted += batch
        self.wakes += self.bench.wake_ups()

    @precondition(lambda self: self.sent and not self.full)
    @rule(count=st.integers(1, 5), force=st.booleans())
    def repeat_what_was_sent(self, count: int, force: bool) -> None:
        batch = [
            Sent(len(self.sent) + place, old.person, old.at, True, old.values)
            for place, old in enumerate(self.sent[-count:])
        ]
        self.enqueue(batch, force=force)

    # -- workers -------------------------------------------------------------------------------------------------------

    # no precondition: how many wake-ups there are depends on the lanes, which a random pepper decides
    @rule(which=st.integers(0, 50), worker=st.integers(0, 1), count=st.integers(1, 3))
    def deliver_wake_ups(self, which: int, worker: int, count: int) -> None:
        for _ in range(min(count, len(self.wakes))):
            lane, wake_up_token = self.wakes.pop(which % len(self.wakes))
            self.drain(lane, wake_up_token, worker)

    def drain(self, lane: int, wake_up_token: str = "1", worker: int = 0) -> None:
        following = self.bench.workers[worker].drain("camp", lane, wake_up_token)
        self.abandoned.discard(lane)
        self.bench.waker.wake("camp", following.wake)
        self.wakes += self.bench.wake_ups()
        if following.come_back_seconds is not None:
            self.wakes.append((lane, following.wake_up_token))

    @rule(which=st.integers(0, 50))
    def lose_a_wake_up(self, which: int) -> None:
        if self.wakes:
            lane, _ = self.wakes.pop(which % len(self.wakes))
            self.abandoned.add(lane)

    @rule(who=people, calls=st.integers(0, 2))
    def a_worker_dies(self, who: int, calls: int) -> None:
        """After it has read its window and made some calls, and before it could settle."""
        lane = self.open(who)
        if lane is None:
            return
        read = lane.read(live=50, backfill=50)
        bench, worker = self.bench, self.bench.workers[0]
        connected = bench.resources.destinations.connected("camp")
        mapping = worker.mapping(connected.destination)
        contacts = WorkingSet(
            connected.destination, mapping, bench.ledger(),
            connected.pepper, lane=lane.number, move=lambda *_: None,
        )  # fmt: skip
        contacts.told_time(read.now_ms)
        updates = []
        for entry in read.entries():
            update = mapping.resolve(
                entry.open(bench.resources.ring, "camp"), occurred_at_ms=entry.origin.occurred_at_ms,
                arrived_at_ms=entry.origin.stamp_ms, now_ms=read.now_ms,
            )  # fmt: skip
            assert isinstance(update, ContactUpdate)
            updates.append((entry, update))
        take_in(contacts, lane, updates)
        for _ in range(min(calls, contacts.waiting)):
            with suppress(CallError):  # the fault that was ordered for it
                EVENT_LOOP.run(worker.client(connected.destination).contacts.patch(contacts.body(contacts.next())))
        self.expire(lane)

    @rule(who=people)
    def a_worker_loses_its_lease(self, who: int) -> None:
        lane = self.open(who)
        if lane is not None:
            self.expire(lane)

    @rule(who=people, blame=st.booleans())
    def a_worker_cannot_go_on(self, who: int, blame: bool) -> None:
        """It is alive, and does not know what became of its last step."""
        lane = self.open(who)
        if lane is not None:
            lane.read(live=50, backfill=50)
            if lane.abandon(wake_up_seconds=30, blame=blame):
                self.wakes.append((lane.number, "1"))

    def open(self, person: int) -> HeldLane | None:
        pepper = self.bench.resources.destinations.pepper("camp")
        number = lane_of(contact_tag(f"{person}.n{self.naming}", pepper))
        lane = self.bench.lane(number, lease_seconds=15)
        return lane if lane.open() else None

    def expire(self, lane: HeldLane) -> None:
        self.bench.redis.delete(self.bench.keys.lane(lane.number).lease)
        self.zombies.append(lane)
        self.abandoned.add(lane.number)

    @rule()
    def those_who_lost_their_lease_can_do_nothing(self) -> None:
        for lane in self.zombies:
            with pytest.raises(LeaseLost):
                lane.read(live=1, backfill=1)
            ledger = self.bench.ledger()
            ledger.pending.count("calls", 1_000_000)
            with pytest.raises(LeaseLost):
                lane.settle(ledger.take(), hour=self.bench.hour())
            assert not lane.may_send()
            assert not lane.release(wake_up_seconds=1)
        self.zombies.clear()

    # -- trouble -------------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["cut_before", "cut_after", "server_error"]), who=people)
    def a_call_goes_wrong(self, kind: str, who: int) -> None:
        contact = f"{who}.n{self.naming}"
        self.bench.admin("POST", "faults", {"kind": kind, "times": 1, "contact_key": contact})
        self.come_in([who, 0], ("first",), VERSIONS[1], backfill=False)

    @rule()
    def marketing_cloud_is_out(self) -> None:
        self.bench.admin("POST", "faults", {"kind": "server_error", "times": 12})

    @rule()
    def an_operator_pauses(self) -> None:
        self.bench.resources.states.pause("camp")

    @rule()
    def an_operator_resumes(self) -> None:
        self.bench.resources.states.resume("camp")
        self.bench.waker.wake_all("camp")
        self.wakes += self.bench.wake_ups()

    @rule()
    def a_pause_overtakes_a_probe(self) -> None:
        states = self.bench.resources.states
        state = states.get("camp")
        error = DestinationUnreachable("away", code="outage")
        states.fail("camp", error, status=Status.DEGRADED, generation=state.generation)
        states.resume("camp")  # the next probe may go at once
        _, mine = states.take_probe("camp", "probe")
        assert mine == states.get("camp").on_probation
        states.pause("camp")
        assert not states.succeed("camp", "probe")
        _, news = states.fail("camp", error, status=Status.STOPPED, generation=state.generation, probe="probe")
        assert not news
        assert states.get("camp").status is Status.PAUSED

    @precondition(lambda self: self.naming < NAMINGS - 1)
    @rule()
    def the_contact_key_is_mapped_anew(self) -> None:
        """From now on what waits, and what comes, belongs to other contacts, in other lanes."""
        waiting = self.waiting()
        self.naming += 1
        self.bench.connect(key=f"n{self.naming}")
        self.counted = [sent for sent in self.sent if sent.number in waiting]
        self.zombies.clear()  # they find that their epoch has ended, too

    def waiting(self) -> set[int]:
        redis: Any = self.bench.redis
        numbers = set()
        for keys in map(self.bench.keys.lane, range(LANES)):
            for stream in (keys.live, keys.backfill, keys.parked):
                for entry_id, fields in redis.xrange(stream):
                    flat = [part for pair in fields.items() for part in pair]
                    entry = read_entry([entry_id, flat], backfill=False)
                    numbers.add(entry.open(self.bench.resources.ring, "camp")["number"])
        return numbers

    @precondition(lambda self: not self.full)
    @rule()
    def redis_fills_up(self) -> None:
        """So that appends are refused, and even what is written without one."""
        self.bench.redis.config_set("maxmemory", self.bench.redis.info("memory")["used_memory"] // 2)
        self.full = True

    @precondition(lambda self: self.full)
    @rule()
    def redis_has_room(self) -> None:
        self.bench.redis.config_set("maxmemory", 0)
        self.full = False

    @rule()
    def beat_sweeps(self) -> None:
        sweep(self.bench.resources, self.bench.waker)
        self.wakes += self.bench.wake_ups()
        self.abandoned.clear()

    @invariant()
    def no_lane_sleeps_on_work(self) -> None:
        if self.bench.resources.states.get("camp").status is not Status.ENABLED:
            return
        woken = {lane for lane, _ in self.wakes}
        for number in range(LANES):
            keys = self.bench.keys.lane(number)
            work = self.bench.redis.xlen(keys.live) + self.bench.redis.xlen(keys.backfill)
            assert not work or number in self.abandoned | woken or self.bench.redis.exists(keys.wake), (
                f"lane {number} sleeps"
            )

    # -- the end -------------------------------------------------------------------------------------------------------

    def drain_all(self) -> None:
        bench = self.bench
        bench.admin("DELETE", "faults")
        bench.resources.states.resume("camp")
        deadline = time.monotonic() + 30
        while any(
            bench.redis.xlen(keys.live) + bench.redis.xlen(keys.backfill) + bench.redis.zcard(keys.later)
            for keys in map(bench.keys.lane, range(LANES))
        ):
            assert time.monotonic() < deadline, "the lanes do not empty"
            for number in range(LANES):
                bench.redis.delete(bench.keys.lane(number).wake)  # the tokens of lost wake-ups run out
            sweep(bench.resources, bench.waker)
            for lane, wake_up_token in bench.wake_ups():
                self.drain(lane, wake_up_token)
            self.wakes.clear()

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        try:
            self.bench.redis.config_set("maxmemory", 0)
            self.full = False
            self.drain_all()
            self.check()
        finally:
            self.bench.redis.config_set("maxmemory", 0)
            self.bench.close()

    def check(self) -> None:
        bench = self.bench
        expected: dict[str, dict[str, str]] = {}
        for sent in sorted(self.counted, key=lambda sent: sent.order):
            expected.setdefault(f"{sent.person}.n{self.naming}", {}).update(sent.values)
        held = {
            key: {field: found[name] for field, name in FIELDS.items() if name in found}
            for key, found in bench.admin("GET", "contacts").items()
            if key.endswith(f".n{self.naming}")
        }
        assert held == expected
        for job in (read_job(bench.redis, name) for name in self.jobs):
            assert job.pending == 0
            assert sum(job.outcomes.values()) == job.received
            assert job.outcomes["failed"] == job.outcomes["excluded"] == 0
        summary = bench.admin("GET", "ledger/summary")
        assert summary["overlaps"] == 0
        for keys in map(bench.keys.lane, range(LANES)):
            assert not bench.redis.exists(keys.later, keys.window, keys.recovery, keys.crashes, keys.lease)
            assert bench.redis.xlen(keys.parked) == 0
        calls = summary["contact_calls"]
        for live in (False, True):
            again = [
                sent
                for sent in self.counted
                if sent.at != AHEAD
                and sent.live is live
                and sent.values.items() <= expected[f"{sent.person}.n{self.naming}"].items()
            ]
            self.enqueue(again, backfill=not live, counts=False)
            self.drain_all()
            assert bench.admin("GET", "ledger/summary")["contact_calls"] == calls, "a call that changed nothing"


@pytest.mark.parametrize(
    "examples",
    [pytest.param(30, id="short"), pytest.param(250, marks=[pytest.mark.drill, pytest.mark.timeout(3_000)], id="long")],
)
def test_lanes_keep_their_promises(redis_port: int, sandbox_port: int, examples: int) -> None:
    class Here(Model):
        def make(self) -> Bench:
            return Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Here,
        settings=settings(
            max_examples=examples, stateful_step_count=40, deadline=None, derandomize=examples == 30,
            suppress_health_check=list(HealthCheck), print_blob=False,
        ),
    )  # fmt: skip


def test_the_model_knows_its_order() -> None:
    """What it sorts by is what the pipeline says it does: version, live, first; arrivals after all that says when."""
    sent = [Sent(0, 0, AHEAD, False, {}), Sent(1, 0, VERSIONS[2], True, {}), Sent(2, 0, VERSIONS[2], False, {}),
            Sent(3, 0, VERSIONS[0], True, {}), Sent(4, 0, AHEAD, True, {})]  # fmt: skip
    assert [one.number for one in sorted(sent, key=lambda one: one.order)] == [3, 2, 1, 0, 4]
