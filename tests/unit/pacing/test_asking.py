"""When a gate asks: tables of what happened and what is next, and that it neither asks too often nor goes to sleep for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pacing.asking import (
    HOLD_SECONDS,
    IDLE_SECONDS,
    REPORT_SECONDS,
    RETRY_SECONDS,
    SOON_SECONDS,
    TICK_SECONDS,
    Ask,
    Asking,
    Command,
    GiveBack,
    Needs,
    Question,
    Sleep,
)

NOW = 1000.0
NOTHING = Needs(waits=False, in_flight=False, tells=False, renew_at=0.0)
WAITS = Needs(waits=True, in_flight=False, tells=False, renew_at=0.0)
TELLS = Needs(waits=False, in_flight=False, tells=True, renew_at=0.0)
CALLS = Needs(waits=False, in_flight=True, tells=False, renew_at=NOW + 3)

Event = Callable[[Asking], object]


def sleeps(seconds: float) -> Sleep:
    return Sleep(pytest.approx(seconds))


def asked(seconds_ago: float = 0.0, *, live: bool = True) -> Event:
    return lambda asking: asking.begin(NOW - seconds_ago, live=live)


def answered(seconds_ago: float = 0.0, *, waits: bool = True, given: int = 1, wait_seconds: float = 0.001) -> Event:
    return lambda asking: asking.answered(NOW - seconds_ago, waits=waits, given=given, wait_seconds=wait_seconds)


def paused(seconds: float, seconds_ago: float = 0.0) -> Event:
    return lambda asking: asking.paused(seconds, NOW - seconds_ago)


def failed(asking: Asking) -> None:
    asking.failed(NOW)


def after(*events: Event) -> Asking:
    asking = Asking()
    for event in events:
        event(asking)
    return asking


@pytest.mark.parametrize(
    ("events", "needs", "command"),
    [
        ([], WAITS, Ask()),
        ([asked(), answered()], WAITS, sleeps(TICK_SECONDS)),
        ([asked(), answered(0.11)], WAITS, Ask()),
        # nothing was given: as long as the answer says, but a tick at least
        ([asked(), answered(given=0, wait_seconds=0.7)], WAITS, sleeps(0.7)),
        ([asked(), answered(given=2, wait_seconds=0.7)], WAITS, sleeps(TICK_SECONDS)),
        ([asked(), answered(given=0, wait_seconds=0.001)], WAITS, sleeps(TICK_SECONDS)),
        ([asked(), answered(given=0, wait_seconds=60)], WAITS, sleeps(HOLD_SECONDS)),
        # a destination has come
        ([asked(0.01), answered(), Asking.newcomer], WAITS, sleeps(SOON_SECONDS - 0.01)),
        ([asked(0.5), answered(), Asking.newcomer], WAITS, Ask()),
        ([asked(0.01), Asking.newcomer, answered()], WAITS, sleeps(SOON_SECONDS)),  # while it was asked
        # the account has to be left alone
        ([asked(), answered(), paused(0.4)], WAITS, sleeps(0.4)),
        ([asked(), answered(), paused(0.4, seconds_ago=0.5)], WAITS, sleeps(TICK_SECONDS)),
        ([asked(), answered(0.2), paused(900)], WAITS, sleeps(HOLD_SECONDS)),
        ([asked(0.5), paused(0.4), Asking.newcomer], WAITS, sleeps(0.4)),
        ([asked(), failed], WAITS, sleeps(RETRY_SECONDS)),
        # nobody waits
        ([asked(0.4)], TELLS, sleeps(REPORT_SECONDS - 0.4)),
        ([asked(1.1)], TELLS, Ask()),
        ([asked(0.4), Asking.close], TELLS, Ask()),
        ([asked(0.4), Asking.close, failed], TELLS, sleeps(RETRY_SECONDS)),
        ([paused(0.4)], TELLS, Ask()),  # telling is no call
        ([asked()], CALLS, sleeps(REPORT_SECONDS)),  # by then there may be something to tell
        ([asked()], Needs(waits=False, in_flight=True, tells=False, renew_at=NOW + 0.3), sleeps(0.3)),
        ([asked()], Needs(waits=False, in_flight=True, tells=False, renew_at=NOW - 0.1), Ask()),
        ([asked(0.4)], Needs(waits=False, in_flight=True, tells=True, renew_at=NOW + 3), sleeps(0.6)),
        ([asked(), failed], Needs(waits=False, in_flight=True, tells=False, renew_at=NOW - 0.1), sleeps(1.0)),
        ([Asking.close], CALLS, sleeps(REPORT_SECONDS)),  # what is held is needed
        ([], NOTHING, sleeps(IDLE_SECONDS)),
        ([Asking.close], NOTHING, GiveBack()),
    ],
)  # fmt: skip
def test_what_is_next(events: list[Event], needs: Needs, command: Command) -> None:
    assert after(*events).next_command(needs, NOW) == command


@pytest.mark.parametrize(
    ("events", "live", "question"),
    [
        ([], True, Question(urgent=False, tells=True)),
        ([asked(0.5)], True, Question(urgent=False, tells=False)),
        ([asked(1.0)], True, Question(urgent=False, tells=True)),
        ([asked(0.5), Asking.close], True, Question(urgent=False, tells=True)),
        ([asked(0.5), Asking.newcomer], True, Question(urgent=True, tells=False)),
        ([asked(0.5), Asking.newcomer], False, Question(urgent=False, tells=False)),  # it has gone again
        ([Asking.newcomer, asked(0.5)], True, Question(urgent=False, tells=False)),
        # after a refusal each call counts, until one was accepted
        ([asked(0.5), paused(0.1)], True, Question(urgent=False, tells=True)),
        ([paused(0.1), asked(0.5)], True, Question(urgent=False, tells=True)),
        ([paused(0.1), asked(0.5), Asking.told_accepted], True, Question(urgent=False, tells=False)),
    ],
)  # fmt: skip
def test_what_a_question_says(events: list[Event], live: bool, question: Question) -> None:
    assert after(*events).begin(NOW, live=live) == question


@pytest.mark.parametrize(("ago", "is_paused"), [(0.0, True), (0.3, True), (0.5, False)])
def test_an_account_is_left_alone_for_a_while(ago: float, is_paused: bool) -> None:
    assert after(paused(0.4, seconds_ago=ago)).is_paused(NOW) is is_paused


def test_what_is_held_is_given_back_when_nothing_was_asked_for_a_while() -> None:
    asking = Asking()
    assert asking.next_command(WAITS, NOW) == Ask()
    assert asking.next_command(NOTHING, NOW + 1) == sleeps(IDLE_SECONDS)
    assert asking.next_command(NOTHING, NOW + 1.5) == sleeps(IDLE_SECONDS - 0.5)
    assert asking.next_command(CALLS, NOW + 2) == sleeps(1.0)
    assert asking.next_command(NOTHING, NOW + 3.5) == sleeps(IDLE_SECONDS - 1.5)
    assert asking.next_command(NOTHING, NOW + 4) == GiveBack()
    assert asking.next_command(NOTHING, NOW + 9) == sleeps(IDLE_SECONDS), "who comes after that has its while as well"


all_needs = st.builds(
    Needs, waits=st.booleans(), in_flight=st.booleans(), tells=st.booleans(), renew_at=st.floats(NOW, NOW + 60)
)
events = st.sampled_from(["newcomer", "told_accepted", "close", "failed", ""])


@given(st.lists(st.tuples(all_needs, st.floats(0.001, 3), events), max_size=40))
def test_it_never_sleeps_for_long_nor_asks_again_at_once(steps: list[tuple[Needs, float, str]]) -> None:
    asking, now, asked_at = Asking(), NOW, float("-inf")
    for needs, passed, event in steps:
        now += passed
        if event == "failed":
            asking.failed(now)
        elif event:
            getattr(asking, event)()
        match asking.next_command(needs, now):
            case Sleep(seconds):
                assert 0 < seconds <= max(IDLE_SECONDS, HOLD_SECONDS)
            case Ask():
                assert replace(needs, renew_at=0.0) != NOTHING
                if needs.waits:
                    assert now - asked_at >= SOON_SECONDS - 1e-6
                    asked_at = now
                asking.begin(now, live=True)
                asking.answered(now, waits=needs.waits, given=1, wait_seconds=0.001)
            case GiveBack():
                assert replace(needs, renew_at=0.0) == NOTHING
