"""A worker leads an account: its lanes come together there, and go elsewhere when it is gone."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from app.keys import AccountKeys
from tests.system.rig import Rig, profile

PROFILES = 600


def leader(rig: Rig, keys: AccountKeys) -> str:
    """The name of the process in the stack."""
    found: Any = rig.redis.get(keys.lead)
    return found.decode().partition("@")[0] if found else ""


def callers(rig: Rig, keys: AccountKeys) -> set[bytes]:
    """The worker processes that hold permits to call the account."""
    found: Any = rig.redis.hkeys(keys.permits)
    return set(found)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT])
def test_lanes_come_together_and_outlive_their_leader(make_rig: Callable[..., Rig], how: signal.Signals) -> None:
    rig = make_rig(workers=3)
    rig.connect(calls_per_minute=2_400)
    rig.settings_of(latency_ms=50)
    rig.start()
    keys = AccountKeys(rig.resources.destinations.get("camp").account.key)
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(PROFILES)])

    alone: list[set[bytes]] = []

    def one_makes_all_calls() -> bool:
        alone[:] = [callers(rig, keys)]
        return leader(rig, keys) != "" and len(alone[0]) == 1

    rig.wait_until(one_makes_all_calls, "one worker makes all calls", 15)
    first, it = leader(rig, keys), alone[0]
    restarts = rig.stack.restarts.count(first)
    rig.kill(first, how)
    if how != signal.SIGKILL:
        rig.wait_until(lambda: rig.stack.restarts.count(first) > restarts, "it has ended")
    if how == signal.SIGTERM:  # QUIT cancels tasks, and may leave permits to end by themselves
        assert not it & callers(rig, keys), "others lack its permits"
    assert rig.summary()["contact_ok"] < PROFILES - 100, "nearly all was done before: the test shows nothing"

    found = rig.settled([job])
    assert found.outcomes["delivered"] == PROFILES
    assert len(rig.contacts()) == PROFILES
    repeated = rig.summary()["contact_ok"] - PROFILES
    assert repeated <= 16, "calls that were in flight when it was killed, and no more"
    if how == signal.SIGTERM:
        assert repeated == 0


def test_an_account_that_one_worker_cannot_carry_is_worked_at_by_all(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=3, calls_at_once=8)
    rig.connect(calls_per_minute=3_000, max_in_flight=30)
    rig.settings_of(latency_ms=400)
    rig.start()
    keys = AccountKeys(rig.resources.destinations.get("camp").account.key)
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(PROFILES)])
    rig.wait_until(lambda: leader(rig, keys) == "*", "it is found that one is not enough", 30)
    rig.wait_until(lambda: len(callers(rig, keys)) == 3, "all workers make calls", 30)
    broker: Any = Redis.from_url(rig.settings.celery_broker_url)
    bound = [member for key in broker.scan_iter("_kombu.binding*", _type="set") for member in broker.smembers(key)]
    assert bound, "the common queues are"
    assert not [member for member in bound if b"delivery." in member], "what stays when a worker is gone for good"
    assert rig.settled([job]).outcomes["delivered"] == PROFILES
    assert rig.summary()["contact_ok"] == PROFILES


def test_more_lanes_than_slots_all_have_their_turn(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=2, worker_concurrency=3, slice_seconds=0.5)
    rig.connect(calls_per_minute=6_000)
    rig.start()
    job = rig.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(PROFILES)])
    assert rig.settled([job], 60).outcomes["delivered"] == PROFILES
    assert rig.summary()["contact_ok"] == PROFILES
