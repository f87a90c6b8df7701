"""One call as a probe of a destination in trouble, and what calls that are not accepted tell of the account."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.destinations import operating
from app.destinations.state import Status
from app.errors import AccountThrottled, DestinationBroken, DestinationUnreachable, Throttle
from app.keys import LANES, AccountKeys
from app.pacing.account import tell_throttled
from app.pacing.pace import from_bytes
from app.reporting.jobs import read_job
from app.reporting.runs import read_backlog
from app.sfmc.contacts import Contacts
from app.sfmc.responses import judge_rest_error
from tests.integration.lanes.conftest import Bench
from tests.integration.lanes.test_recovery import LANE, names_of
from tests.system.rig import profile


def enqueue(bench: Bench, count: int) -> str:
    return bench.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(count)])


def probe(bench: Bench) -> Status:
    """Let a worker make one probe, at the lane of a profile that waits. Returns how the destination is by then."""
    states = bench.resources.states
    error = DestinationUnreachable("away", code="outage")
    states.fail("camp", error, status=Status.DEGRADED, generation=states.get("camp").generation)
    bench.redis.hset(bench.keys.state, "next_probe_ms", 0)
    lane = next(number for number in range(LANES) if bench.redis.xlen(bench.keys.lane(number).live))
    bench.workers[0].drain("camp", lane)
    return states.get("camp").status


@pytest.mark.parametrize(
    ("settings", "faults"),
    [
        pytest.param({"patch_upserts": False}, [], id="a contact that has to be created"),
        pytest.param({}, [{"kind": "fail", "result_code": "InvalidEmail"}], id="a contact that is refused"),
        pytest.param({}, [{"kind": "rate_limited", "retry_after": 1}], id="an account that asks to wait"),
    ],
)
def test_a_probe_that_was_answered_ends_the_trouble(
    bench: Bench, settings: Mapping[str, Any], faults: list[Mapping[str, Any]]
) -> None:
    bench.admin("PATCH", "settings", settings)
    for fault in faults:
        bench.admin("POST", "faults", {"route": "contacts", "times": 1, **fault})
    enqueue(bench, 1)
    assert probe(bench) is Status.ENABLED


def test_a_probe_waits_while_the_account_is_left_alone(bench: Bench) -> None:
    """Otherwise it asks what may not be asked, and the destination's own trouble is written over by that."""
    throttled = AccountThrottled("too much", kind=Throttle.RATE, wait_seconds=30)
    tell_throttled(bench.redis, bench.destination.account.key, bench.destination.limits, throttled)
    enqueue(bench, 1)
    assert probe(bench) is Status.DEGRADED
    assert bench.resources.states.get("camp").code == "outage"
    assert bench.admin("GET", "ledger")["calls"] == []
    operating.resume(bench.resources, "camp")
    assert probe(bench) is Status.ENABLED


def test_a_refused_contact_went_through_the_account_as_others_do(bench: Bench) -> None:
    bench.admin("POST", "faults", {"kind": "fail", "result_code": "InvalidEmail", "route": "contacts", "times": None})
    job = enqueue(bench, 10)
    work_off(bench)
    assert read_job(bench.redis, job).outcomes["failed"] == 10
    assert accepted(bench) == 10


def test_an_outage_shows_where_few_contacts_wait_in_each_lane(bench: Bench) -> None:
    """One after another, as a small feed has them."""
    bench.admin("POST", "faults", {"kind": "server_error", "route": "contacts", "times": None})
    enqueue(bench, 12)
    states, calls = bench.resources.states, 0
    for lane in range(LANES):
        if bench.redis.xlen(bench.keys.lane(lane).live) and states.get("camp").status is Status.ENABLED:
            bench.workers[0].drain("camp", lane)
            calls = bench.admin("GET", "ledger/summary")["contact_calls"]
    assert states.get("camp").status is Status.DEGRADED
    assert 5 <= calls < 12


REFUSED = {"kind": "invalid_operation", "route": "contacts"}


def test_calls_that_are_refused_for_their_form_stop_the_destination(bench: Bench) -> None:
    """Whatever the contact is, so it would be for a million more: they wait, and each probe finds out with one call."""
    bench.admin("POST", "faults", {**REFUSED, "times": None})
    job = enqueue(bench, 100)
    states = bench.resources.states
    for lane in range(LANES):
        if states.get("camp").status is Status.ENABLED:
            bench.workers[0].drain("camp", lane)
    state, failed = states.get("camp"), read_job(bench.redis, job).outcomes["failed"]
    assert (state.status, state.code) == (Status.STOPPED, "calls_refused")
    assert 20 <= failed < 40, "20, and those in flight"
    probe_lane(bench)
    assert states.get("camp").status is Status.STOPPED
    assert read_job(bench.redis, job).outcomes["failed"] == failed, "it is tried again later"
    bench.admin("DELETE", "faults")
    operating.resume(bench.resources, "camp")
    work_off(bench)
    assert states.get("camp").status is Status.ENABLED
    while read_job(bench.redis, job).pending:  # what the probe put off
        work_off(bench)
    assert read_job(bench.redis, job).outcomes["delivered"] == 100 - failed


def probe_lane(bench: Bench) -> None:
    bench.redis.hset(bench.keys.state, "next_probe_ms", 0)
    bench.workers[0].drain("camp", next(n for n in range(LANES) if bench.redis.xlen(bench.keys.lane(n).live)))


def test_the_next_probe_takes_another_contact_than_the_one_that_was_refused(bench: Bench) -> None:
    """It has two profiles: a merged call that is refused would be split, and be the next probe's as well."""
    bad, good = names_of(bench, 2)
    bench.admin("POST", "faults", {**REFUSED, "times": None, "contact_key": bad})
    bench.producer.enqueue(
        "camp",
        [profile(bad, email="a@mail.test", first="A"), profile(bad, last="B"), profile(good, email="b@mail.test")],
    )
    stop(bench, "calls_refused")
    for _ in range(2):  # a call that is too late for its start lets the other contact go first
        if bench.resources.states.get("camp").status is Status.STOPPED:
            probe_lane(bench)
    assert bench.resources.states.get("camp").status is Status.ENABLED


def stop(bench: Bench, code: str) -> None:
    states = bench.resources.states
    error = DestinationBroken("refused", code=code)
    states.fail("camp", error, status=Status.STOPPED, generation=states.get("camp").generation)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "server_error", "route": "contacts"}, {"kind": "rate_limited", "route": "definitions", "retry_after": 1}],
    ids=["nobody answers", "the account asks to wait"],
)
def test_what_stopped_a_destination_outlives_a_probe_that_finds_out_nothing(
    bench: Bench, fault: dict[str, Any]
) -> None:
    enqueue(bench, 30)
    stop(bench, "missing_scope")
    bench.admin("POST", "faults", {**fault, "times": 1})
    probe_lane(bench)
    state = bench.resources.states.get("camp")
    assert (state.status, state.code) == (Status.STOPPED, "missing_scope")


def test_contacts_that_are_refused_for_their_form_among_others_fail_alone(bench: Bench) -> None:
    bench.admin("POST", "faults", {**REFUSED, "times": 19})
    job = enqueue(bench, 30)
    work_off(bench)
    assert bench.resources.states.get("camp").status is Status.ENABLED
    assert [read_job(bench.redis, job).outcomes[name] for name in ("failed", "delivered")] == [19, 11]


def test_creations_that_are_refused_for_their_form_stop_the_destination(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account knows none of the contacts, and takes no POST: that one is unknown says nothing of the form of the other call."""

    async def post(*_: Any, before_sending: Callable[[], None], **__: Any) -> None:
        before_sending()
        raise judge_rest_error(405, {}, b'{"message": "Method Not Allowed"}')

    monkeypatch.setattr(Contacts, "post", post)
    bench.admin("PATCH", "settings", {"patch_upserts": False})
    for name in names_of(bench, 25):  # one after another, as a live feed has them
        bench.producer.enqueue("camp", [profile(name, email="a@mail.test")], job_id="feed")
        bench.workers[0].drain("camp", LANE)
    assert bench.resources.states.get("camp").code == "calls_refused"


def test_a_token_endpoint_that_asks_to_wait_says_nothing_of_the_rate(bench: Bench) -> None:
    worker = bench.workers[0]
    worker.mapping(bench.destination)
    bench.admin("POST", "faults", {"kind": "rate_limited", "route": "token", "retry_after": 1, "times": 1})
    worker.client(bench.destination).forget_token()
    enqueue(bench, 10)
    keys = AccountKeys(bench.destination.account.key)
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(work_off, bench)
        while not (why := bench.redis.hget(keys.pace, "why")):
            assert not working.done()
            time.sleep(0.01)
        seen = observed(bench)
    assert why == b"tokens"
    assert "since" in seen, "the account waits"
    assert "throttled" not in seen


def work_off(bench: Bench) -> None:
    while read_backlog(bench.redis, "camp").total:
        for number in range(LANES):
            bench.workers[0].drain("camp", number)
    bench.workers[0].give_back()


def accepted(bench: Bench) -> int:
    """Calls, learned from already or not."""
    state: Any = bench.redis.hget(AccountKeys(bench.destination.account.key).pace, "state")
    pace = from_bytes(state, bench.destination.limits)
    return int(observed(bench).get("accepted", 0)) + pace.rate.accepted


def observed(bench: Bench) -> dict[str, str]:
    reply: Any = bench.redis.hgetall(AccountKeys(bench.destination.account.key).observed)
    return {name.decode(): value.decode() for name, value in reply.items()}
