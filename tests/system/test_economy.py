"""What the scarce resource is spent on: the whole rate and never more, one token, no call for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.system.rig import Rig, profile


@pytest.mark.alone
def test_the_rate_is_used_and_kept_with_one_token_and_no_call_for_nothing(
    make_rig: Callable[..., Rig], capsys: Any
) -> None:
    rig = make_rig(workers=3)
    rig.connect(calls_per_minute=2_400, max_in_flight=20)
    rig.settings_of(latency_ms=200, calls_per_second=40, burst=8)
    rig.start()
    profiles = [profile(f"c-{n}", email=f"c{n}@mail.test", first=f"First{n}") for n in range(800)]
    total = rig.settled([rig.producer.enqueue("camp", profiles)])
    assert total.outcomes["delivered"] == len(profiles)
    summary = rig.summary()
    seconds = sorted((int(second), count) for second, count in summary["per_second"].items())
    middle = [count for _, count in seconds[2:-2]]
    share = sum(middle) / (40 * len(middle))
    with capsys.disabled():
        print(f"\n{share:.1%} of 40 calls/s used over {len(middle)} s, {summary['throttled']} throttled, "
              f"{summary['token_requests']} token request")  # fmt: skip
    assert summary["throttled"] == 0
    assert summary["token_requests"] == 1
    assert 0.93 <= share <= 1.02
    again = rig.settled([rig.producer.enqueue("camp", profiles)])
    assert again.outcomes["unchanged"] == len(profiles)
    assert rig.summary()["contact_calls"] == len(profiles) == rig.calls()
    forced = rig.settled([rig.producer.enqueue("camp", profiles[:5], force=True)])
    assert forced.outcomes["delivered"] == 5
    assert rig.summary()["contact_calls"] == len(profiles) + 5


def test_a_contact_that_is_unknown_is_created_once(make_rig: Callable[..., Rig]) -> None:
    """An account whose PATCH creates nothing, and one that wants the address along with every change."""
    rig = make_rig(workers=1)
    rig.connect()
    rig.settings_of(patch_upserts=False, require_email_with_demographics=True)
    rig.start()
    first = [profile("a", email="a@mail.test", first="Ann"), profile("b", first="Ben")]
    total = rig.settled([rig.producer.enqueue("camp", first)])
    assert (total.outcomes["delivered"], total.outcomes["excluded"]) == (1, 1)
    assert total.reasons == {"missing_email": 1}
    second = rig.settled([rig.producer.enqueue("camp", [profile("a", email="a@mail.test", first="Anna")])])
    assert second.outcomes["delivered"] == 1
    assert rig.contacts() == {
        "a": {
            "Email Addresses.Email Address": "a@mail.test",
            "Email Addresses.HTML Enabled": True,
            "Email Demographics.First Name": "Anna",
        }
    }


def test_failures_are_replayed_and_newer_values_stay(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=1)
    rig.connect()
    rig.start()
    rig.fault("fail", times=1, message="not today")
    old = [profile("a", email="a@mail.test", first="Old", last="Kept", at="2026-01-01T00:00:00Z")]
    assert rig.settled([rig.producer.enqueue("camp", old)]).outcomes["failed"] == 1
    new = [profile("a", email="a@mail.test", first="New", at="2026-01-02T00:00:00Z")]
    assert rig.settled([rig.producer.enqueue("camp", new)]).outcomes["delivered"] == 1
    store = rig.resources.failures("camp")
    [failure] = store.all()
    assert failure.service_message
    assert failure.attempts == 1
    replayed = rig.producer.replay("camp", store, [failure])
    assert (replayed.count, replayed.locked) == (1, 0)
    assert rig.settled([replayed.job_id]).outcomes["delivered"] == 1
    assert len(store) == 0
    held = rig.contacts()["a"]
    assert (held["Email Demographics.First Name"], held["Email Demographics.Last Name"]) == ("New", "Kept")


@pytest.mark.alone
def test_the_calls_in_flight_follow_the_server(make_rig: Callable[..., Rig], capsys: Any) -> None:
    """A server that more than four calls at once only slow down, and that gets well again."""
    rig = make_rig(workers=1)
    rig.connect(max_in_flight=24)
    rig.settings_of(latency_ms=60, latency_free_inflight=4, latency_per_inflight_ms=40)
    rig.start()
    rig.producer.enqueue("camp", (profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(20_000)))
    rig.wait_until(lambda: rig.summary()["contact_ok"] >= 24, "under way")
    crowded, crowd = window(rig, calls=80)
    calm, few = window(rig, calls=80, until=lambda rate, most: rate >= 1.4 * crowded and most < crowd)
    rig.settings_of(latency_per_inflight_ms=0)
    well, more = window(rig, calls=200, until=lambda rate, most: rate >= 2 * calm and most > few)
    with capsys.disabled():
        print(
            f"\n{crowded:.0f} calls/s with {crowd} at once, {calm:.0f}/s with {few}; well again {well:.0f}/s with {more}"
        )
    assert rig.summary()["overlaps"] == 0


def window(
    rig: Rig, *, calls: int, until: Callable[[float, int], bool] = lambda _rate, _most: True
) -> tuple[float, int]:
    """Calls a second over so many calls, and the most that were in flight at once; taken anew until they are as wanted."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        rig.admin("DELETE", "ledger")
        rig.wait_until(lambda: rig.summary()["contact_ok"] >= calls, "calls are made")
        summary = rig.summary()
        rate, most = summary["contact_ok"] / (summary["last_call"] - summary["first_call"]), summary["max_concurrent"]
        if until(rate, most):
            return rate, most
    raise AssertionError(f"not as wanted within 90 s; at last {rate:.0f} calls/s with {most} at once")
