"""What the next worker makes of a lane that was left in the middle, and what it counts against whom."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from app.delivery.working_set import Arrival, WorkingSet
from app.destinations import operating
from app.destinations.state import Status
from app.errors import DestinationUnreachable, EpochEnded
from app.event_loop import EVENT_LOOP
from app.keys import LANES
from app.lanes.append import Appender
from app.lanes.bounds import ready
from app.lanes.delivered import contact_tag
from app.lanes.entries import Origin
from app.lanes.lane import Lane, lane_of
from app.reporting.jobs import read_job
from app.reporting.runs import read_runs
from tests.integration.lanes.conftest import Bench, HeldLane, take_in
from tests.system.rig import SEGMENTS, profile

LANE = 3


def names_of(bench: Bench, number: int) -> list[str]:
    """Contact keys that belong to the lane."""
    pepper = bench.resources.destinations.pepper("camp")
    found = (f"c-{n}" for n in range(10_000) if lane_of(contact_tag(f"c-{n}", pepper)) == LANE)
    return [next(found) for _ in range(number)]


def die_after_calls(bench: Bench, lane: HeldLane, calls: int, meanwhile: Sequence[dict[str, Any]] = ()) -> None:
    """A worker that reads all, calls, reads what came in `meanwhile`, and is gone before it can settle."""
    connected = bench.resources.destinations.connected("camp")
    worker = bench.workers[0]
    mapping = worker.mapping(connected.destination)
    contacts = WorkingSet(
        connected.destination, mapping, bench.ledger(),
        connected.pepper, lane=LANE, move=lambda *_: None,
    )  # fmt: skip
    read = None
    while read is None or not read.recovered:  # what is recovered comes again until it is settled
        read = lane.read(live=200, backfill=200)
        contacts.told_time(read.now_ms)
        entries = read.entries()
        if not entries:
            break
        take_in(
            contacts,
            lane,
            [
                (
                    entry,
                    mapping.resolve(
                        entry.open(bench.resources.ring, "camp"),
                        occurred_at_ms=entry.origin.occurred_at_ms,
                        arrived_at_ms=entry.origin.stamp_ms,
                        now_ms=read.now_ms,
                    ),
                )
                for entry in entries
            ],  # type: ignore[misc]  # none of them is excluded
        )
    for _ in range(min(calls, contacts.waiting)):
        EVENT_LOOP.run(worker.client(connected.destination).contacts.patch(contacts.body(contacts.next())))
    if meanwhile:
        bench.producer.enqueue("camp", meanwhile, job_id="meanwhile")
        assert lane.read(live=200, backfill=200).live
    bench.redis.delete(bench.keys.lane(LANE).lease)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_takeover_sets_no_contact_back(bench: Bench, deaths: int) -> None:
    """The updates of each contact lie far apart in the lane; the dead worker had sent the newest of each."""
    names = names_of(bench, 40)
    updates = [profile(name, email=f"{name}@mail.test", first=f"{wave:03}") for wave in range(8) for name in names]
    job = bench.producer.enqueue("camp", updates)
    for _ in range(deaths):
        lane = bench.lane(LANE)
        assert lane.open()
        die_after_calls(bench, lane, calls=len(names))
    while bench.workers[0].drain("camp", LANE).wake:
        pass
    assert read_job(bench.redis, job).pending == 0
    sent: dict[str, list[str]] = {}
    for call in bench.admin("GET", "ledger?since=0")["calls"]:
        if call["route"] == "contacts":
            values = {
                value["name"]: value["value"]
                for one in call["body"]["attributeSets"]
                for item in one["items"]
                for value in item["values"]
            }
            sent.setdefault(call["contact_key"], []).append(values["First Name"])
    assert sent.keys() == set(names)
    for values in sent.values():
        assert all(one <= other for one, other in pairwise(values)), values


def test_what_came_back_to_what_was_delivered_before_is_sent_again(bench: Bench) -> None:
    """`realized` is delivered; the worker is gone when it has sent `exited`, and `realized` waits behind."""
    name, again, job, lane = realized_then_exited(bench)
    die_after_calls(bench, lane, calls=1, meanwhile=[again])
    assert held(bench, name) == "exited"
    while bench.workers[0].drain("camp", LANE).wake:
        pass
    assert [read_job(bench.redis, each).pending for each in (job, "meanwhile")] == [0, 0]
    assert held(bench, name) == "realized"


@pytest.fixture
def impatient(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    """One death is enough, and the window for retries is over at once."""
    made = Bench(
        f"redis://127.0.0.1:{redis_port}/0", sandbox_port, crashes_allowed=1, retry_window_seconds=0.0, retry_minimum=1
    )
    yield made
    made.close()


@pytest.mark.parametrize("way", ["as the one that kills", "with the backlog of an outage"])
def test_what_fails_without_being_read_again_may_have_been_stored_all_the_same(impatient: Bench, way: str) -> None:
    bench = impatient
    name, again, job, lane = realized_then_exited(bench)
    die_after_calls(bench, lane, calls=1)
    states = bench.resources.states
    if way == "with the backlog of an outage":
        away = DestinationUnreachable("away", code="outage")
        states.fail("camp", away, status=Status.DEGRADED, generation=states.get("camp").generation)
        later = bench.resources.clock.now_ms() + 60_000
        bench.redis.hset(bench.keys.state, mapping={"tries": 50, "since_ms": 1, "next_probe_ms": later})
    bench.workers[0].drain("camp", LANE)
    assert read_job(bench.redis, job).outcomes["failed"] == 1
    states.pause("camp")
    states.resume("camp")
    bench.producer.enqueue("camp", [again])
    while bench.workers[0].drain("camp", LANE).wake:
        pass
    assert held(bench, name) == "realized"


def realized_then_exited(bench: Bench) -> tuple[str, dict[str, Any], str, HeldLane]:
    """A contact that is delivered as realized, and waits as exited in an open lane: its key, its profile as realized again, the job of
    exited, and the lane.
    """
    (name,) = names_of(bench, 1)
    when = [f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3)]
    realized, exited, again = (
        profile(name, email="a@mail.test", segments={"seg-1": (word, at)})
        for word, at in zip(("realized", "exited", "realized"), when, strict=True)
    )
    bench.producer.enqueue("camp", [realized])
    bench.workers[0].drain("camp", LANE)
    job = bench.producer.enqueue("camp", [exited])
    lane = bench.lane(LANE)
    assert lane.open()
    return name, again, job, lane


def held(bench: Bench, name: str) -> str:
    return str(bench.admin("GET", "contacts")[name][f"Email Demographics.{SEGMENTS['seg-1']}"])


def evidence(bench: Bench) -> dict[bytes, bytes]:
    found: Any = bench.redis.hgetall(bench.keys.lane(LANE).crashes)
    return dict(found)


def enqueue(bench: Bench, number: int = 3) -> str:
    return bench.producer.enqueue("camp", [profile(name, email="a@mail.test") for name in names_of(bench, number)])


def test_a_worker_that_lost_redis_for_a_while_is_not_dead(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease ran out meanwhile and another worker took over; when it is back, it says that it lives."""
    job = enqueue(bench)
    worker, other = bench.workers
    right = Lane.settling
    broken: list[Lane] = []

    def away(lane: Lane, *_: Any, **__: Any) -> None:
        broken.append(lane)
        raise RedisConnectionError

    monkeypatch.setattr(Lane, "settling", away)
    monkeypatch.setattr(Lane, "abandon", away)
    with pytest.raises(RedisConnectionError):
        worker.drain("camp", LANE)
    monkeypatch.undo()
    assert broken
    bench.redis.delete(bench.keys.lane(LANE).lease)
    taken = bench.lane(LANE)
    assert taken.open()
    assert len(evidence(bench)) == 3
    worker.drain("camp", LANE + 1)  # any wake-up will do
    assert evidence(bench) == {}
    taken.release(wake_up_seconds=30)
    other.drain("camp", LANE)
    counts = read_job(bench.redis, job)
    assert (counts.pending, counts.outcomes["failed"]) == (0, 0)
    assert Lane.settling is right


def test_a_worker_that_gives_up_a_lane_of_a_disconnected_destination_leaves_no_key(bench: Bench) -> None:
    enqueue(bench)
    lane = bench.lane(LANE)
    assert lane.open()
    assert lane.read(live=50, backfill=50).live
    window = bench.redis.dump(bench.keys.lane(LANE).window)
    bench.resources.destinations.remove("camp")
    bench.redis.restore(bench.keys.lane(LANE).window, 0, window)  # as before the removal came to it
    bench.redis.set(bench.keys.lane(LANE).lease, lane.token)
    assert not lane.abandon(wake_up_seconds=30, blame=False)
    left = {key.decode() for key in bench.redis.scan_iter(bench.keys.everything)}
    assert left == {bench.keys.lane(LANE).window, bench.keys.lane(LANE).lease}


def test_an_unexpected_error_is_held_against_the_entries_until_the_guilty_one_is_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of(bench, 30)
    job = bench.producer.enqueue("camp", [profile(name, email="a@mail.test") for name in names])
    guilty = names[17]
    right = WorkingSet.take_in

    def stumble(contacts: WorkingSet, arrival: Arrival) -> None:
        if arrival.key == guilty:
            raise ZeroDivisionError
        right(contacts, arrival)

    monkeypatch.setattr(WorkingSet, "take_in", stumble)
    worker = bench.workers[0]
    worker._shared = replace(worker._shared, settings=replace(bench.resources.settings, crashes_allowed=3))
    for _ in range(20):
        if not worker.drain("camp", LANE).wake:
            break
    counts = read_job(bench.redis, job)
    assert (counts.pending, counts.outcomes["failed"], counts.outcomes["delivered"]) == (0, 1, 29)
    (failure,) = bench.resources.failures("camp").all()
    assert failure.open(bench.resources.ring, "camp")["identityMap"]["contactKey"] == [{"id": guilty}]


def test_what_was_sorted_for_another_epoch_is_sorted_again_and_the_holder_of_its_lane_refused(bench: Bench) -> None:
    appender = Appender(bench.resources, "camp")
    origin = Origin("job", 0, *bench.resources.clock.stamp(), "", b"")
    chunk = appender.sort([(ready(profile("a", email="a@mail.test")), origin)])
    assert (len(chunk.streams), chunk.exclusions) == (1, [None])
    lane = bench.lane(LANE)
    assert lane.open()
    bench.connect(key="other")
    assert appender.append(chunk, job_id="job", chunk_id="1") == set(), "it has no contact key in the other namespace"
    assert read_job(bench.redis, "job").reasons == {"missing_contact_key": 1}
    assert not any(bench.redis.xlen(bench.keys.lane(number).live) for number in range(LANES))
    with pytest.raises(EpochEnded):
        lane.read(live=1, backfill=1)
    ledger = bench.ledger()
    ledger.pending.count("calls")
    with pytest.raises(EpochEnded):
        lane.settle(ledger.take(), hour=bench.hour())
    lane.renew()  # its calls in flight may end
    assert not bench.lane(LANE).open(), "and nobody else calls these contacts meanwhile"
    assert not lane.abandon(wake_up_seconds=30, blame=False)
    assert bench.lane(LANE).open()


def test_counts_of_a_job_stay_while_anything_of_it_waits(bench: Bench) -> None:
    job = enqueue(bench)
    assert bench.redis.ttl(bench.keys.job(job)) == -1
    bench.workers[0].drain("camp", LANE)
    assert read_job(bench.redis, job).pending == 0
    assert bench.redis.ttl(bench.keys.job(job)) > 86_400


def test_each_hour_counts_its_own(bench: Bench) -> None:
    """Enqueued in the last moment of an hour, delivered in the first of the next one."""
    clock = bench.resources.clock
    clock.now_ms()
    clock._server.ahead_seconds -= 3_600
    enqueue(bench)
    clock._server.ahead_seconds += 3_600
    bench.workers[0].drain("camp", LANE)
    now, before = read_runs(bench.redis, "camp", hours=2)
    assert (before.received, sum(before.outcomes.values())) == (3, 0)
    assert (now.received, now.outcomes["delivered"], now.calls) == (0, 3, 3)


def test_an_altered_entry_is_set_aside_and_its_neighbours_go_on(bench: Bench) -> None:
    """Whoever can write to Redis and has no key moves a profile to another time, another contact, another place."""
    redis: Any = bench.redis
    job = enqueue(bench, 3)
    stream = bench.keys.lane(LANE).live
    entries = redis.xrange(stream)
    fields = dict(entries[0][1])
    for change in (
        {b"o": b"9999999999999"},
        {b"f": b"x"},
        {b"c": entries[1][1][b"c"]},
        {b"s": b"9999999999999-1"},
        {b"j": b"other"},
        {b"o": b"1" * 30},
        {b"n": b"1" * 30},
    ):
        redis.xadd(stream, {**fields, **change})
    redis.xadd(stream, {b"p": b"anything"})
    bench.workers[0].drain("camp", LANE)
    counts = read_job(bench.redis, job)
    assert counts.outcomes["delivered"] == 3
    assert [failure.code for failure in bench.resources.failures("camp").all()] == ["seal_tampered"] * 8
    assert redis.xlen(stream) == 0


def test_what_no_key_opens_stops_its_destination_until_an_operator_sets_it_aside(bench: Bench) -> None:
    redis: Any = bench.redis
    job = enqueue(bench, 3)
    keys = bench.keys.lane(LANE)
    stream = keys.live
    (_, fields), *_ = redis.xrange(stream)
    of_another_key = fields[b"p"][:1] + b"none" + fields[b"p"][5:]
    redis.xadd(stream, {**fields, b"p": of_another_key})

    def state() -> tuple[str, str]:
        found = bench.resources.states.get("camp")
        return str(found.status), found.code

    bench.workers[0].drain("camp", LANE)
    assert state() == ("stopped", "seal_broken")
    assert "--set-locked-aside" in bench.resources.states.get("camp").remedy
    operating.resume(bench.resources, "camp")
    bench.workers[0].drain("camp", LANE)
    assert state() == ("stopped", "seal_broken"), "it was not asked for"

    redis.zadd(
        keys.later, {redis.xadd(keys.parked, {**fields, b"p": of_another_key}): 0}
    )  # back in its lane with a new id
    time.sleep(0.002)  # what comes within the same ms counts as later
    operating.resume(bench.resources, "camp", set_locked_aside=True)
    assert state()[0] == "enabled"
    bench.workers[0].drain("camp", LANE)
    assert redis.xlen(stream) == 0
    assert state()[0] == "enabled"
    assert read_job(bench.redis, job).outcomes["delivered"] == 3
    assert [failure.code for failure in bench.resources.failures("camp").all()] == ["seal_broken"] * 2

    later = str(bench.resources.clock.now_ms() + 60_000).encode()
    redis.xadd(stream, {**fields, b"p": of_another_key, b"s": later + b"-1"})
    bench.workers[0].drain("camp", LANE)
    assert state() == ("stopped", "seal_broken"), "it came later"


@pytest.mark.drill
@pytest.mark.timeout(1_500)
def test_a_lane_of_a_million_entries(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """It opens, reads and settles as fast as a short one, and is emptied with a few calls for each contact."""
    redis: Any = bench.redis
    names = names_of(bench, 10)
    job = bench.producer.enqueue(
        "camp", [profile(name, email=f"{name}@mail.test", first=f"{n:02}") for n in range(50) for name in names]
    )
    stream = bench.keys.lane(LANE).live
    short = seconds_of_a_read(bench)
    copy = redis.register_script(
        "local all = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 500)"
        "for _ = 1, 10 do for _, entry in ipairs(all) do redis.call('XADD', KEYS[1], '*', unpack(entry[2])) end end"
    )
    while redis.xlen(stream) < 1_000_000:
        copy(keys=[stream])
    entries = redis.xlen(stream)
    redis.hset(bench.keys.job(job), "received", entries)
    long = seconds_of_a_read(bench)
    redis.delete(bench.keys.lane(LANE).wake)
    while bench.workers[0].drain("camp", LANE).wake:
        pass
    counts = read_job(redis, job)
    calls = bench.admin("GET", "ledger/summary")["contact_calls"]
    with capsys.disabled():
        print(
            f"\n{entries:,} entries: a read of 200 takes {long * 1000:.1f} ms, of a short lane {short * 1000:.1f} ms; {calls} calls"
        )
    assert long < 20 * short + 0.01, (
        "what is read of a window must not grow with the lane, which is 2,000 times as long"
    )
    assert (sum(counts.outcomes.values()), counts.outcomes["failed"], counts.pending) == (entries, 0, 0)
    assert {held["Email Demographics.First Name"] for held in bench.admin("GET", "contacts").values()} == {"49"}
    assert calls <= 5 * len(names)


def seconds_of_a_read(bench: Bench) -> float:
    lane = bench.lane(LANE)
    assert lane.open()
    began = time.monotonic()
    lane.read(live=200, backfill=0)
    taken = time.monotonic() - began
    lane.release(wake_up_seconds=30)
    return taken
