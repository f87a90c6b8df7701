"""Each script of the lanes: what it does, that a repeat of it does nothing more, and that it obeys the lease."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from redis import Redis

from app.destinations.state import Status
from app.errors import CallError, DestinationUnreachable, LeaseLost, UsageError
from app.ids import JOB_ID
from app.keys import LANES, RUN_LIFE_SECONDS, LaneKeys
from app.lanes.append import MOST_DETAILS
from app.lanes.delivered import contact_tag
from app.lanes.entries import Entry
from app.lanes.failures import seal_failure
from app.lanes.lane import Batch, announce_wake_ups, lane_of
from app.lanes.outcomes import Outcome
from app.reporting.jobs import read_job
from app.reporting.runs import read_runs
from tests.integration.lanes.conftest import Bench, HeldLane
from tests.system.rig import profile

TROUBLE = CallError("It did not work.", code="some_code")


class EachTwice(Redis):
    """A client whose first answer to each script gets lost, so that it asks once more."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == "EVALSHA":
            super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


@pytest.fixture
def twice(bench: Bench, redis_port: int) -> Iterator[EachTwice]:
    with EachTwice(port=redis_port) as client:
        yield client


def contacts_of(bench: Bench, lane: int, number: int) -> list[str]:
    pepper = bench.resources.destinations.pepper("camp")
    keys = (f"c-{n}" for n in count())
    fitting = (key for key in keys if lane_of(contact_tag(key, pepper)) == lane)
    return [next(fitting) for _ in range(number)]


def enqueue(bench: Bench, lane: int = 3, number: int = 1, **how: Any) -> str:
    batch = [profile(key, email=f"{key}@mail.test") for key in contacts_of(bench, lane, number)]
    return bench.producer.enqueue("camp", batch, **how)


def lane_at(bench: Bench, number: int = 3, *, redis: Redis | None = None, lease_seconds: float = 20) -> HeldLane:
    return bench.lane(number, redis=redis, lease_seconds=lease_seconds)


def taken(bench: Bench, number: int = 3, *, redis: Redis | None = None) -> HeldLane:
    lane = lane_at(bench, number, redis=redis)
    assert lane.open()
    return lane


def dies(bench: Bench, lane: HeldLane) -> None:
    bench.redis.delete(bench.keys.lane(lane.number).lease)


def ids(read: Batch) -> list[bytes]:
    return [raw[0] for raw in (*read.live, *read.backfill)]


def entries(_: Bench, read: Batch) -> list[Entry]:
    return read.entries()


def now_ms() -> int:
    return int(time.time() * 1000)


def everything(redis: Redis) -> dict[bytes, Any]:
    """All that Redis holds, but for the lives of keys."""
    return {key: redis.dump(key) for key in redis.scan_iter()}


# -- append ------------------------------------------------------------------------------------------------------------


ANN = profile("c-ann", email="ann@mail.test")
NO_TIME = "occurred_at: not a time with date, time of day and time zone."


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"profiles": None}, "profiles: is NoneType."),
        ({"profiles": 7}, "profiles: is int."),
        ({"profiles": ANN}, "profiles: is dict."),
        ({"profiles": str(ANN)}, "profiles: is str."),
        ({"profiles": str(ANN).encode()}, "profiles: is bytes."),
        ({"profiles": bytearray(str(ANN).encode())}, "profiles: is bytearray."),
        ({"force": "false"}, "force: is str."),
        ({"backfill": "false"}, "backfill: is str."),
        ({"backfill": None}, "backfill: is NoneType."),
        ({"force": 1}, "force: is int."),
        ({"destination": [ANN], "profiles": "camp"}, "destination: is list."),
        ({"destination": None}, "destination: is NoneType."),
        ({"repeat_id": 7}, "repeat_id: is int."),
        ({"repeat_id": ANN}, "repeat_id: is dict."),
        ({"source": None}, "source: is NoneType."),
        ({"source": "\ud800ann@mail.test"}, "source: holds half of a character."),
        ({"occurred_at": "ann@mail.test"}, NO_TIME),
        ({"occurred_at": "2026-11-22T10:00:00"}, NO_TIME),
        ({"occurred_at": datetime(2026, 11, 22, 10)}, "occurred_at: a datetime without a time zone."),  # noqa: DTZ001  # that is what is wrong
        ({"occurred_at": ANN}, "occurred_at: neither RFC 3339 text nor epoch ms."),
        ({"occurred_at": True}, "occurred_at: neither RFC 3339 text nor epoch ms."),
        *(({"job_id": job}, f"job_id: {JOB_ID.must}.") for job in ("ann@mail.test", "", "a" * 129, 0, 7, ANN)),
    ],
)  # fmt: skip
def test_what_is_no_argument_is_told_with_a_remedy_before_a_job_begins(
    bench: Bench, arguments: dict[str, Any], told: str
) -> None:
    before = everything(bench.redis)
    with pytest.raises(UsageError) as caught:
        bench.producer.enqueue(**{"destination": "camp", "profiles": [ANN]} | arguments)
    assert (str(caught.value), bool(caught.value.remedy)) == (told, True)
    assert "mail.test" not in "".join(traceback.format_exception(caught.value))
    assert everything(bench.redis) == before


def test_a_repeated_chunk_adds_nothing_and_asks_for_the_same_wake_ups(bench: Bench) -> None:
    job = enqueue(bench, number=5, repeat_id="one")
    bench.producer.enqueue("camp", [{}, None], repeat_id="two")
    assert bench.wake_ups() == [(3, "1")]
    before = everything(bench.redis)
    enqueue(bench, number=5, repeat_id="one")
    bench.producer.enqueue("camp", [{}, None], repeat_id="two")
    assert everything(bench.redis) == before
    assert bench.wake_ups() == [(3, "1")]
    assert bench.redis.xlen(bench.keys.lane(3).live) == read_job(bench.redis, job).received == 5
    assert read_job(bench.redis, "two").outcomes["excluded"] == 2


@pytest.mark.parametrize(
    ("repeat_id", "job_id", "job"),
    [
        ("crm-2026-11-22", None, "crm-2026-11-22"),
        ("crm-2026-11-22", "crm", "crm"),
        ("x" * 200, None, ""),  # as long as the id of a task may be
        ("crm export/1", None, ""),
        ("crm export/1", "crm", "crm"),
        ("\ud800", None, ""),
    ],
)
def test_a_call_may_be_named_by_any_text(bench: Bench, repeat_id: str, job_id: str | None, job: str) -> None:
    profiles = [profile("c-1", email="a@mail.test")]
    first, again = (bench.producer.enqueue("camp", profiles, repeat_id=repeat_id, job_id=job_id) for _ in range(2))
    assert first == again
    assert first == job or (not job and JOB_ID.allows(first))
    assert read_job(bench.redis, first).received == 1
    bench.producer.enqueue("camp", profiles, repeat_id=f"{repeat_id}-2", job_id=first)
    assert read_job(bench.redis, first).received == 2, "it is another call"


def test_a_replay_is_appended_in_steps_that_are_bounded_in_bytes(bench: Bench) -> None:
    large = [profile(f"c-{n}", email="a@mail.test") | {"note": "x" * 900_000} for n in range(12)]
    bench.producer.enqueue("camp", large)
    store, ring = bench.resources.failures("camp"), bench.resources.ring
    for number in range(LANES):
        for at, entry in enumerate(bench.lane(number).waiting(most=100)):
            record = seal_failure(entry, TROUBLE, "camp", ring, now_ms=entry.enqueued_ms)
            bench.redis.zadd(bench.keys.failures, {f"{number}-{at}": entry.enqueued_ms})
            bench.redis.hset(bench.keys.failed, f"{number}-{at}", record)
        bench.redis.delete(bench.keys.lane(number).live)
    replayed = bench.producer.replay("camp", store, store.all())
    assert (replayed.count, replayed.locked, len(store)) == (12, 0, 0)
    assert read_job(bench.redis, replayed.job_id).received == 12
    steps = list(bench.redis.scan_iter(bench.keys.chunk("replay:*"), count=10_000))
    assert len(steps) == 3, "five of them are more than MOST_BYTES"


def test_a_run_tells_so_many_details_apart_and_counts_the_others_by_their_reason(bench: Bench) -> None:
    """A detail names what comes from outside: here the namespaces that a profile has instead."""
    bench.producer.enqueue("camp", [{"identityMap": {f"space_{n}": [{"id": "x"}]}} for n in range(MOST_DETAILS + 5)])
    run: Any = bench.redis.hgetall(bench.keys.run(bench.hour()))
    why = {name: int(count) for name, count in run.items() if name.startswith(b"why:")}
    assert (len(why), sum(why.values())) == (MOST_DETAILS + 1, MOST_DETAILS + 5)
    assert why[b"why:missing_contact_key"] == 5


def test_a_sleeping_lane_is_woken_once(bench: Bench) -> None:
    for backfill in (False, True, False):
        enqueue(bench, backfill=backfill)
    assert bench.wake_ups() == [(3, "1")]


def test_a_lane_that_is_held_is_not_woken_for_what_comes_in_and_is_when_it_is_let_go(bench: Bench) -> None:
    lane = taken(bench)
    enqueue(bench)
    assert bench.wake_ups() == []
    assert not bench.redis.exists(bench.keys.lane(3).wake)
    assert lane.release(wake_up_seconds=30)
    enqueue(bench)
    assert bench.wake_ups() == []  # the holder sends the one whose token it set


# -- open, renew, release ----------------------------------------------------------------------------------------------


def test_a_lane_has_one_holder(bench: Bench, twice: EachTwice) -> None:
    lane, other = taken(bench, redis=twice), lane_at(bench)
    assert not other.open()
    assert lane.may_send()
    assert not other.may_send()
    assert not other.release(wake_up_seconds=30)
    assert not other.open()
    lane.release(wake_up_seconds=30)
    assert other.open()


def test_taking_a_lane_clears_its_mark_so_that_letting_go_can_mark_it(bench: Bench, twice: EachTwice) -> None:
    enqueue(bench)
    lane = taken(bench, redis=twice)
    assert not bench.redis.exists(bench.keys.lane(3).wake)
    other = lane_at(bench)
    assert not other.open()
    assert not lane_at(bench).release(wake_up_seconds=30)
    assert not bench.redis.exists(bench.keys.lane(3).wake)
    dies(bench, lane)


def test_one_crash_counts_once_even_when_the_next_worker_opens_twice(bench: Bench, twice: EachTwice) -> None:
    enqueue(bench, number=3)
    first = taken(bench)
    read = first.read(live=10, backfill=10)
    assert (len(read.live), read.deaths) == (3, 0)
    dies(bench, first)
    again = taken(bench, redis=twice).read(live=64, backfill=0)
    assert again.deaths == 1
    assert sorted(ids(again)) == sorted(ids(read))


def test_a_holder_does_not_suspect_what_it_works_at_itself(bench: Bench) -> None:
    enqueue(bench, number=3)
    lane = taken(bench)
    lane.read(live=2, backfill=0)
    assert lane.open()
    rest = lane.read(live=2, backfill=0)
    assert (len(rest.live), rest.deaths) == (1, 0)


def test_only_the_holder_keeps_its_lease(bench: Bench, twice: EachTwice) -> None:
    lease = bench.keys.lane(3).lease
    lane = taken(bench, redis=twice)
    bench.redis.pexpire(lease, 1_000)
    assert not lane.renewal_is_due
    lane._held_until -= 15
    assert lane.renewal_is_due
    lane.renew()
    assert bench.redis.pttl(lease) > 15_000
    assert lane.may_send()

    dies(bench, lane)
    other = taken(bench)
    lane._held_until -= 15
    with pytest.raises(LeaseLost):
        lane.renew()
    assert not lane.may_send()
    assert not lane_at(bench).open()
    other.renew()


def test_a_holder_stops_sending_before_its_lease_ends(bench: Bench) -> None:
    lane = lane_at(bench, lease_seconds=1.5)
    assert lane.open()
    assert lane.may_send()
    stopped_in_time = False
    while True:
        held = bench.redis.exists(bench.keys.lane(3).lease)
        sends = lane.may_send()
        assert held or not sends
        stopped_in_time |= bool(held) and not sends
        if not held:
            break
    assert stopped_in_time


def test_letting_go_marks_the_lane_only_when_something_is_left(bench: Bench) -> None:
    keys = bench.keys.lane(3)
    assert not taken(bench).release(wake_up_seconds=30)
    assert not bench.redis.exists(keys.wake, keys.lease)
    for backfill in (False, True):
        bench.redis.flushdb()
        bench.resources.destinations.save(bench.destination)
        enqueue(bench, backfill=backfill)
        lane = taken(bench)
        lane.read(live=10, backfill=10)
        assert lane.release(wake_up_seconds=30, wake_up_token="later")
        assert bench.redis.get(keys.wake) == b"later"
        assert 25_000 < bench.redis.pttl(keys.wake) <= 30_000
        assert not bench.redis.exists(keys.lease, keys.window)
        assert taken(bench).read(live=10, backfill=10).deaths == 0  # nobody died


def test_a_repeated_letting_go_leaves_the_lane_to_the_sweep(bench: Bench, twice: EachTwice) -> None:
    enqueue(bench)
    taken(bench, redis=twice).release(wake_up_seconds=30)
    assert announce_wake_ups(bench.redis, "camp", range(LANES), wake_up_seconds=30) == []
    bench.redis.delete(bench.keys.lane(3).wake)  # its life has ended
    assert announce_wake_ups(bench.redis, "camp", range(LANES), wake_up_seconds=30) == [3]


@pytest.mark.parametrize("blame", [True, False])
def test_who_was_taken_for_dead_and_is_not_takes_back_what_was_held_against_its_contacts_unless_they_are_to_blame(
    bench: Bench, blame: bool
) -> None:
    enqueue(bench)
    late = taken(bench)
    late.read(live=10, backfill=10)
    dies(bench, late)
    taken(bench)
    assert not late.abandon(wake_up_seconds=30, blame=blame)
    assert bench.redis.hlen(bench.keys.lane(3).crashes) == (1 if blame else 0)


def test_letting_go_too_late_touches_nothing(bench: Bench) -> None:
    enqueue(bench)
    late = taken(bench)
    dies(bench, late)
    taken(bench).read(live=10, backfill=10)
    before = everything(bench.redis)
    assert not late.release(wake_up_seconds=30)
    assert everything(bench.redis) == before


# -- read --------------------------------------------------------------------------------------------------------------


def test_reading_twice_gives_the_same_entries_and_live_before_backfill(bench: Bench, twice: EachTwice) -> None:
    enqueue(bench, number=2, backfill=True)
    enqueue(bench, number=3)
    lane = taken(bench, redis=twice)
    first = lane.read(live=2, backfill=10)
    assert (len(first.live), len(first.backfill)) == (2, 0)
    second = lane.read(live=2, backfill=10)
    assert (len(second.live), len(second.backfill)) == (1, 0)
    third = lane.read(live=2, backfill=10)
    assert (len(third.live), len(third.backfill)) == (0, 2)
    assert len({*ids(first), *ids(second), *ids(third)}) == 5
    assert ids(lane.read(live=2, backfill=10)) == []
    enqueue(bench)
    assert len(lane.read(live=2, backfill=10).live) == 1
    assert bench.redis.hlen(bench.keys.lane(3).window) == 6 + 1


def test_one_answer_holds_so_many_bytes_and_one_more_entry_or_contact(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(bench, number=3)
    enqueue(bench, number=2)  # of two contacts there are two each
    monkeypatch.setattr("app.lanes.lane.WINDOW_BYTES", 1)
    lane = taken(bench)
    assert [len(ids(lane.read(live=10, backfill=10))) for _ in range(6)] == [1, 1, 1, 1, 1, 0]
    dies(bench, lane)
    lane, recovered = taken(bench), []
    while read := ids(lane.read(live=100, backfill=100)):  # an eighth of that after a death
        recovered.append(len(read))
        ledger = bench.ledger()
        ledger.pending.live_ids += read
        lane.settle(ledger.take(), hour=bench.hour())
    assert sorted(recovered) == [1, 2, 2]


def test_a_parked_entry_comes_back_once_when_it_is_due_with_all_that_it_was(bench: Bench, twice: EachTwice) -> None:
    job = enqueue(bench, number=2, occurred_at=1_700_000_000_000, force=True, backfill=True)
    lane, ledger = taken(bench, redis=twice), bench.ledger()
    soon, late = entries(bench, lane.read(live=0, backfill=10))
    ledger.retry_later([soon], TROUBLE, now_ms=now_ms() - 1_000)
    ledger.retry_later([late], TROUBLE, now_ms=now_ms() + 3_600_000)
    lane.settle(ledger.take(), hour=bench.hour())
    keys = bench.keys.lane(3)
    assert bench.redis.xlen(keys.parked) == bench.redis.zcard(keys.later) == 2

    (back,) = entries(bench, lane.read(live=10, backfill=10))
    assert (back.job_id, back.attempts, back.backfill) == (job, 1, True)
    assert back.origin == soon.origin
    assert (back.origin.force, back.origin.occurred_at_ms) == (True, 1_700_000_000_000)
    assert back.open(bench.resources.ring, "camp") == soon.open(bench.resources.ring, "camp")
    assert back.first_tried_at_ms > 0
    assert bench.redis.xlen(keys.backfill) == bench.redis.xlen(keys.parked) == bench.redis.zcard(keys.later) == 1
    assert read_job(bench.redis, job).pending == 2


# -- settle ------------------------------------------------------------------------------------------------------------


def settle_one_of_each(bench: Bench, lane: HeldLane) -> None:
    """Five live entries and one of backfill: delivered, unchanged, excluded, failed, parked, delivered."""
    ledger = bench.ledger()
    live = entries(bench, lane.read(live=5, backfill=0))
    (behind,) = entries(bench, lane.read(live=5, backfill=5))
    ledger.close(live[0], Outcome.DELIVERED)
    ledger.close(live[1], Outcome.UNCHANGED)
    ledger.exclude(live[2], "missing_email")
    ledger.fail(live[3], TROUBLE, now_ms=1)
    ledger.retry_later([live[4]], TROUBLE, now_ms=now_ms())
    ledger.close(behind, Outcome.DELIVERED)
    ledger.pending.delivered[b"a tag"] = b"a row"
    ledger.pending.count("calls", 7)
    lane.settle(ledger.take(), hour=bench.hour())


def test_settling_twice_writes_everything_once(bench: Bench, twice: EachTwice) -> None:
    job = enqueue(bench, number=5)
    enqueue(bench, backfill=True, job_id=job)
    lane = taken(bench, redis=twice)
    settle_one_of_each(bench, lane)

    keys = bench.keys.lane(3)
    counts = read_job(bench.redis, job)
    assert counts.outcomes == {"delivered": 2, "unchanged": 1, "superseded": 0, "excluded": 1, "failed": 1}
    assert (counts.received, counts.pending) == (6, 1)
    runs = list(read_runs(bench.redis, "camp", hours=2))
    assert sum(run.outcomes["delivered"] for run in runs) == 2
    assert sum(run.calls for run in runs) == 7
    assert bench.redis.xlen(keys.live) == bench.redis.xlen(keys.backfill) == 0
    assert bench.redis.xlen(keys.parked) == bench.redis.zcard(keys.later) == 1
    assert len(bench.resources.failures("camp")) == 1
    assert lane.rows([b"a tag", b"another"]) == {b"a tag": b"a row", b"another": None}
    assert not bench.redis.exists(keys.window)
    assert not lane.release(wake_up_seconds=30)


def test_a_settlement_that_comes_once_more_after_the_next_one_does_nothing(bench: Bench) -> None:
    """As the network brings it, when the client that sent it first has given its connection up."""
    job = enqueue(bench, number=3)
    lane = taken(bench)
    steps = []
    for number, entry in enumerate(entries(bench, lane.read(live=3, backfill=0))[:2]):
        ledger = bench.ledger()
        ledger.close(entry, Outcome.DELIVERED)
        ledger.pending.delivered[b"a tag"] = b"row %d" % number
        steps.append(lane.settling(ledger.take(), hour=bench.hour()))
    for step in (*steps, *steps):
        step.run(bench.redis)
    counts = read_job(bench.redis, job)
    assert (counts.outcomes["delivered"], counts.pending) == (2, 1)
    assert lane.rows([b"a tag"]) == {b"a tag": b"row 1"}


def test_without_the_lease_nothing_is_read_or_settled(bench: Bench) -> None:
    enqueue(bench, number=5)
    enqueue(bench, backfill=True)
    late = taken(bench)
    ledger = bench.ledger()
    ledger.close(entries(bench, late.read(live=5, backfill=0))[0], Outcome.DELIVERED)
    dies(bench, late)
    for follow in (False, True):
        if follow:
            taken(bench)
        before = everything(bench.redis)
        late._held_until = time.monotonic() + 20  # it has not noticed yet
        with pytest.raises(LeaseLost):
            late.settle(ledger.pending, hour=bench.hour())
        assert not late.may_send()
        with pytest.raises(LeaseLost):
            late.read(live=5, backfill=5)
        assert everything(bench.redis) == before


def test_an_hour_in_which_nothing_came_in_is_kept_no_longer_than_others(bench: Bench) -> None:
    enqueue(bench)
    lane, ledger = taken(bench), bench.ledger()
    ledger.close_all(entries(bench, lane.read(live=10, backfill=0)), Outcome.UNCHANGED)
    later = bench.hour() + 1
    lane.settle(ledger.take(), hour=later)
    assert 0 < bench.redis.ttl(bench.keys.run(later)) <= RUN_LIFE_SECONDS


# -- announce_wake_ups, postpone ---------------------------------------------------------------------------------------------------


def test_only_lanes_that_sleep_on_work_are_roused_and_only_once(bench: Bench) -> None:
    for lane in (1, 2, 3):
        enqueue(bench, lane)
    enqueue(bench, 4, backfill=True)
    for lane, due in ((5, now_ms() - 2_000), (6, now_ms() + 3_600_000)):
        enqueue(bench, lane)
        holder, ledger = taken(bench, lane), bench.ledger()
        ledger.retry_later(entries(bench, holder.read(live=1, backfill=0)), TROUBLE, now_ms=due)
        holder.settle(ledger.take(), hour=bench.hour())
        holder.release(wake_up_seconds=30)
    for lane in (1, 4, 5, 6):
        bench.redis.delete(bench.keys.lane(lane).wake)
    taken(bench, 2)
    # 1 has work, 2 is held, 3 has a wake-up token, 4 has backfill, 5 something parked that is due, 6 something that is not
    assert announce_wake_ups(bench.redis, "camp", range(LANES), wake_up_seconds=30) == [1, 4, 5]
    assert announce_wake_ups(bench.redis, "camp", range(LANES), wake_up_seconds=30) == []
    assert 25_000 < bench.redis.pttl(bench.keys.lane(1).wake) <= 30_000


@pytest.mark.parametrize(
    ("standing", "comes_back"), [("mine", True), (None, True), ("new", True), ("of another", False), ("1", False)]
)
def test_a_wake_up_is_postponed_unless_another_one_is_on_its_way(
    bench: Bench, twice: EachTwice, standing: str | None, comes_back: bool
) -> None:
    wake = bench.keys.lane(3).wake
    if standing is not None:
        bench.redis.set(wake, standing, px=1_000)
    assert lane_at(bench, redis=twice).postpone("mine", "new", wake_up_seconds=30) is comes_back
    if comes_back:
        assert bench.redis.get(wake) == b"new"
        assert 25_000 < bench.redis.pttl(wake) <= 30_000
    else:
        assert bench.redis.get(wake) == str(standing).encode()


# -- suspects ----------------------------------------------------------------------------------------------------------


def entry_at(bench: Bench, stream: str, place: int) -> bytes:
    waiting: Any = bench.redis.xrange(stream)
    found: bytes = waiting[place][0]
    return found


def dies_of(bench: Bench, killer: bytes) -> list[int]:
    """A worker that works at the lane until it meets the killer; returns how many entries it had at once each time."""
    lane, window = taken(bench), bench.resources.settings.window_size
    met = []
    while True:
        read = lane.read(live=window, backfill=window)
        met.append(len(ids(read)))
        if killer in ids(read):
            dies(bench, lane)
            return met
        assert ids(read), "the killer has left the lane"
        ledger = bench.ledger()
        ledger.close_all(entries(bench, read), Outcome.DELIVERED)
        lane.settle(ledger.take(), hour=bench.hour())


@pytest.fixture
def cautious(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port, crashes_allowed=3, window_size=100)
    yield made
    made.close()


@pytest.mark.parametrize("place", [0, 37, 89])
@pytest.mark.parametrize("backfill", [False, True])
def test_what_kills_its_workers_is_soon_alone_and_set_aside_when_it_has_killed_too_many(
    cautious: Bench, place: int, backfill: bool
) -> None:
    bench = cautious
    job = enqueue(bench, number=90, backfill=backfill)
    keys = bench.keys.lane(3)
    stream = keys.backfill if backfill else keys.live
    killer = entry_at(bench, stream, place)
    deaths = [dies_of(bench, killer)[-1] for _ in range(5)]
    assert deaths[0] == 90
    assert 1 <= deaths[1] <= 12
    assert deaths[2:] == [1, 1, 1]

    following = bench.workers[0].drain("camp", 3)
    assert following.wake == ()
    (failure,) = bench.resources.failures("camp").all()
    assert failure.code == "worker_killed"
    assert failure.open(bench.resources.ring, "camp")["identityMap"]["contactKey"] == [
        {"id": contacts_of(bench, 3, 90)[place]}
    ]
    counts = read_job(bench.redis, job)
    assert (counts.outcomes["failed"], counts.outcomes["delivered"], counts.pending) == (1, 89, 0)
    assert gone(bench.redis, keys)


def test_what_was_there_when_workers_died_is_delivered_when_it_kills_no_more(cautious: Bench) -> None:
    bench = cautious
    job = enqueue(bench, number=90)
    keys = bench.keys.lane(3)
    suspect = entry_at(bench, keys.live, 40)
    for _ in range(4):
        dies_of(bench, suspect)
    assert bench.workers[0].drain("camp", 3).wake == ()
    counts = read_job(bench.redis, job)
    assert (counts.outcomes["failed"], counts.outcomes["delivered"], counts.pending) == (0, 90, 0)
    assert gone(bench.redis, keys)


def one_that_was_there_when_a_worker_died(bench: Bench, *, goes_wrong: int) -> str:
    """A profile that is suspected, and whose calls get so many server errors; returns its job."""
    job = enqueue(bench)
    lane = taken(bench)
    lane.read(live=1, backfill=0)
    dies(bench, lane)
    (contact,) = contacts_of(bench, 3, 1)
    bench.admin("POST", "faults", {"kind": "server_error", "times": goes_wrong, "contact_key": contact})
    return job


def test_a_suspect_whose_call_goes_wrong_has_one_outcome(bench: Bench) -> None:
    job = one_that_was_there_when_a_worker_died(bench, goes_wrong=1)
    keys = bench.keys.lane(3)
    deadline = time.monotonic() + 10
    while bench.redis.xlen(keys.live) + bench.redis.zcard(keys.later):
        assert time.monotonic() < deadline
        bench.workers[0].drain("camp", 3)
    assert sum(read_job(bench.redis, job).outcomes.values()) == 1


def test_a_suspect_in_trouble_is_no_outage(bench: Bench) -> None:
    one_that_was_there_when_a_worker_died(bench, goes_wrong=20)
    bench.workers[0].drain("camp", 3)
    assert bench.resources.states.get("camp").status is Status.ENABLED
    assert bench.redis.zcard(bench.keys.lane(3).later) == 1


def gone(redis: Redis, keys: LaneKeys) -> bool:
    """No entry is left, and no suspicion."""
    return redis.xlen(keys.live) + redis.xlen(keys.backfill) == 0 and not redis.exists(
        keys.window, keys.recovery, keys.crashes
    )


def test_a_wake_up_that_gives_up_old_profiles_still_comes_back(bench: Bench) -> None:
    state = bench.resources.states
    enqueue(bench, number=1)
    error = DestinationUnreachable("away", code="outage")
    for _ in range(bench.resources.settings.retry_minimum + 1):
        bench.redis.hset(bench.keys.state, "next_probe_ms", 0)
        token = str(state.take_probe("camp", "probe")[0].generation) and "probe"
        state.fail(
            "camp", error, status=Status.DEGRADED, generation=0, probe=token if state.get("camp").probing else ""
        )
    bench.redis.hset(bench.keys.state, mapping={"since_ms": 1, "next_probe_ms": now_ms() + 60_000})
    assert state.get("camp").since_ms == 1
    first = bench.workers[0].drain("camp", 3)
    assert first.come_back_seconds is not None
    assert bench.workers[0].drain("camp", 3, first.wake_up_token).come_back_seconds is not None
