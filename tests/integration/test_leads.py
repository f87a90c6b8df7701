"""Who leads an account, as several processes see it in one Redis."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from redis import Redis

from app.delivery import leads as module
from app.delivery.lead import EVERYBODY, FULL_AT, MOST_CALLS_PER_MINUTE
from app.delivery.leads import Cpu, Leads
from app.destinations.model import Limits
from app.event_loop import EVENT_LOOP
from app.keys import SPREAD_SECONDS, AccountKeys

ACCOUNT, OTHER = "mclead", "mcother"
LEASE_SECONDS = 15.0
LEAD_SECONDS = 9.0
KEY, OTHER_KEY = AccountKeys(ACCOUNT).lead, AccountKeys(OTHER).lead


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look is a new one."""
    monkeypatch.setattr(module, "MOVE_GOOD_SECONDS", -1.0)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)


class Process:
    def __init__(self, redis: Redis, name: str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.calls, self.sessions = 0.0, 100
        self.leads = Leads(
            redis, lease_seconds=lease_seconds, lanes=64, calls_share=lambda: self.calls, cpu_share=lambda: 0.0
        )
        self.leads.begin(name)

    def stays(
        self, account: str = ACCOUNT, begun: float | None = None, limits: Limits | None = None, lane: int | None = None
    ) -> bool:
        """By default a session at a lane that was never there before."""
        self.sessions += 1
        begun = time.monotonic() if begun is None else begun
        where = ("camp", self.sessions if lane is None else lane)
        return EVENT_LOOP.run(self.leads.stays(account, limits or Limits(), where, begun))


@pytest.fixture
def first(redis: Redis) -> Process:
    return Process(redis, "first@here")


@pytest.fixture
def second(redis: Redis) -> Process:
    return Process(redis, "second@here")


def test_who_comes_first_leads_and_the_others_hand_over(redis: Redis, first: Process, second: Process) -> None:
    assert first.stays()
    assert not second.stays()
    assert redis.get(KEY) == b"first@here"
    assert first.leads.leader(ACCOUNT) == second.leads.leader(ACCOUNT) == "first@here"


def test_looking_keeps_a_lead(redis: Redis, first: Process) -> None:
    first.stays()
    redis.pexpire(KEY, 1_000)
    assert first.stays()
    assert redis.pttl(KEY) > 1_000
    assert redis.pttl(KEY) <= LEAD_SECONDS * 1000


def test_a_leader_that_ends_is_followed_at_once(redis: Redis, first: Process, second: Process) -> None:
    first.stays()
    first.leads.end()
    deadline = time.monotonic() + 10
    while redis.exists(KEY) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert second.stays()
    assert redis.get(KEY) == b"second@here"
    assert first.stays(), "its sessions end by themselves, and are sent nowhere"
    assert first.leads.leader(ACCOUNT) == ""


def test_a_process_that_ends_leaves_the_lead_of_another_alone(redis: Redis, first: Process, second: Process) -> None:
    first.stays()
    redis.delete(KEY)  # it was away for too long
    second.stays()
    first.leads.end()
    first.leads.end()
    second.stays()
    assert redis.get(KEY) == b"second@here"


def test_a_full_process_leaves_one_of_two_accounts_to_others(redis: Redis, first: Process, second: Process) -> None:
    first.stays(ACCOUNT)
    first.stays(OTHER)
    begun = time.monotonic()
    first.calls = FULL_AT
    assert not first.stays(ACCOUNT, begun)
    assert not redis.exists(KEY)
    assert first.leads.leader(ACCOUNT) == ""
    assert first.stays(ACCOUNT), "who begins anew may work at it until somebody leads"
    first.calls = 0.5
    assert first.stays(OTHER, begun)
    assert redis.get(OTHER_KEY) == b"first@here"
    assert second.stays(ACCOUNT)
    assert not first.stays(ACCOUNT)


def test_an_account_that_fills_a_process_is_worked_at_by_all(redis: Redis, first: Process, second: Process) -> None:
    first.stays()
    begun = time.monotonic()
    first.calls = FULL_AT
    assert not first.stays(begun=begun), "its lanes are given to all"
    assert redis.get(KEY) == EVERYBODY.encode()
    assert LEAD_SECONDS < redis.ttl(KEY) <= SPREAD_SECONDS
    first.calls = 0.0
    assert first.stays()
    assert second.stays()
    assert first.leads.leader(ACCOUNT) == second.leads.leader(ACCOUNT) == ""


def test_lanes_of_accounts_that_it_leads_fill_a_process(redis: Redis, first: Process) -> None:
    first.stays()
    begun = time.monotonic()
    with ExitStack() as sessions:
        for _ in range(60):
            sessions.enter_context(first.leads.session(ACCOUNT))
        assert first.leads.sessions == 60
        assert not first.stays(begun=begun)
        assert redis.get(KEY) == EVERYBODY.encode()
    assert first.leads.sessions == 0


def test_a_fast_account_and_a_process_without_a_queue_lead_nothing(redis: Redis, first: Process) -> None:
    assert first.stays(limits=Limits(calls_per_minute=MOST_CALLS_PER_MINUTE + 1))
    nameless = Leads(redis, lease_seconds=LEASE_SECONDS, lanes=64, calls_share=lambda: 0.0, cpu_share=lambda: 0.0)
    assert EVENT_LOOP.run(nameless.stays(ACCOUNT, Limits(), ("camp", 0), 0.0))
    assert not redis.exists(KEY)


def test_a_leader_not_looked_for_of_late_is_sent_nothing(
    first: Process, second: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.stays()
    assert second.leads.leader(ACCOUNT) == ""
    second.stays()
    assert second.leads.leader(ACCOUNT) == "first@here"
    monkeypatch.setattr(module, "KNOWN_SECONDS", 0.0)
    assert second.leads.leader(ACCOUNT) == ""


def test_a_lane_that_the_leader_did_not_take_is_worked_at_here(first: Process, second: Process) -> None:
    """It may have died, or take no wake-ups."""
    first.stays()
    assert not second.stays(lane=1)
    assert not second.stays(lane=2)
    assert second.stays(lane=1)


def test_a_full_redis_takes_a_lead(redis: Redis, first: Process) -> None:
    redis.config_set("maxmemory", "1")
    try:
        assert first.stays()
        assert redis.get(KEY) == b"first@here"
        first.calls = FULL_AT
        first.stays()
        assert redis.get(KEY) == EVERYBODY.encode()
    finally:
        redis.config_set("maxmemory", "0")


def test_cpu_is_measured_over_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now, used = 100.0, 3.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now, process_time=lambda: used))
    cpu = Cpu()
    assert cpu.share() == 0.0
    now, used = 102.0, 4.5
    assert cpu.share() == 0.75
    now, used = 102.5, 5.0
    assert cpu.share() == 0.75
    now, used = 104.0, 4.6
    assert cpu.share() == pytest.approx(0.05)
