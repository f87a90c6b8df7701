"""The session's state machine: tables of states and of what is in hand, and what is to be done next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.broker import broker_settings
from app.delivery import session as machine
from app.delivery.session import (
    SHARE_SECONDS,
    End,
    InHand,
    Phase,
    Read,
    Rules,
    SessionState,
    Settle,
    SliceOver,
    Wait,
    next_command,
)
from app.errors import DestinationBroken, DestinationUnreachable
from app.settings import Settings

NOW = 1000.0
RULES = Rules(window_size=200, slice_seconds=2.0)
PROBE = Rules(window_size=200, slice_seconds=2.0, is_probe=True)
BEGUN = SessionState.begun(NOW, RULES)
WORKING = replace(BEGUN, read_at=NOW)
DRY = replace(WORKING, dry=True)
FINISHING = replace(WORKING, phase=Phase.FINISHING)
ENDING = machine.told_to_end(WORKING)


@pytest.mark.parametrize(
    ("session", "in_hand", "command"),
    [
        (BEGUN, InHand(), Read(200, 16)),
        (WORKING, InHand(), Read(200, 16)),  # the last read did not ask for all that there is
        (DRY, InHand(), End()),
        (DRY, InHand(live=5), Wait(5, 1.0)),
        (replace(DRY, read_at=NOW - 1), InHand(), Read(200, 16)),  # a read of long ago is repeated before the end
        (WORKING, InHand(live=5), Wait(5, 1.0)),
        (WORKING, InHand(live=5, in_flight=2, started=2), Wait(5, 1.0)),
        (replace(WORKING, read_at=NOW - 0.06), InHand(in_flight=2), Read(200, 16)),  # whether live ones have come
        (replace(WORKING, read_at=NOW - 0.03, found=True), InHand(in_flight=2), Read(200, 16)),
        (replace(WORKING, read_at=NOW - 0.03), InHand(in_flight=2), Wait(0, pytest.approx(0.02))),
        (replace(WORKING, read_at=NOW - 0.03, slice_ends=NOW + 0.01), InHand(in_flight=2), Wait(0, pytest.approx(0.01))),
        (replace(WORKING, read_at=NOW - 0.03, found=True), InHand(live=2, backfill=8, in_flight=2), Wait(10, pytest.approx(0.07))),
        # more in flight than wait, and the last read found nothing: the answers have their turn
        (replace(WORKING, read_at=NOW - 0.03), InHand(live=3, backfill=8, in_flight=12), Wait(11, pytest.approx(0.07))),
        (replace(DRY, read_at=NOW - 0.03), InHand(in_flight=2), Wait(0, pytest.approx(0.02))),
        (replace(WORKING, read_at=NOW - 0.2), InHand(backfill=9, in_flight=2), Read(200, 0)),
        (replace(WORKING, read_at=NOW - 0.2), InHand(backfill=4, in_flight=2), Read(200, 16)),
        (replace(WORKING, read_at=NOW - 0.2, backfill_batch=1_000), InHand(in_flight=2), Read(200, 200)),
        (replace(WORKING, read_at=NOW - 0.05), InHand(backfill=9, in_flight=2), Wait(9, pytest.approx(0.05))),
        (replace(WORKING, read_at=NOW - 9), InHand(live=1), Read(199, 0)),
        (replace(WORKING, read_at=NOW - 9), InHand(live=120, in_flight=120), Wait(120, 1.0)),  # no room
        (replace(WORKING, read_at=NOW - 9), InHand(in_flight=2, held=5_000), Wait(0, 1.0)),  # too much unsettled
        (replace(WORKING, recovering=True, read_at=NOW - 9), InHand(in_flight=2), Wait(0, 1.0)),
        (replace(WORKING, recovering=True, read_at=NOW - 9), InHand(live=1), Wait(1, 1.0)),
        (replace(WORKING, read_at=NOW - 9), InHand(live=5, backfill=3, in_flight=2), Wait(8, 1.0)),
        (replace(WORKING, read_at=NOW - 9), InHand(in_flight=2, doubtful=1), Read(200, 16)),
        (replace(WORKING, recovering=True, read_at=NOW - 9), InHand(unsettled=1), Settle(park_doubtful=True)),
        (replace(WORKING, recovering=True, read_at=NOW - 9), InHand(doubtful=1), Settle(park_doubtful=True)),
        (replace(WORKING, recovering=True, read_at=NOW - 9), InHand(), Read(200, 16)),
        (WORKING, InHand(live=5, unsettled=100), Settle()),
        (replace(WORKING, settled_at=NOW - 0.06), InHand(live=5, unsettled=100), Settle()),
        (replace(WORKING, settled_at=NOW - 0.06), InHand(live=5, unsettled=99), Settle(within_seconds=SHARE_SECONDS)),
        (replace(DRY, settled_at=NOW - 0.06), InHand(unsettled=1), Settle(within_seconds=SHARE_SECONDS)),
        (WORKING, InHand(live=5, unsettled=1), Wait(5, pytest.approx(0.05))),
        (replace(WORKING, settled_at=NOW - 0.06), InHand(live=5, unsettled=1), Settle(within_seconds=SHARE_SECONDS)),
        (replace(WORKING, settled_at=NOW - 0.06, epoch_ended=True), InHand(live=5, unsettled=1), Wait(5, 1.0)),
        (replace(WORKING, settled_at=NOW - 0.06), InHand(live=5), Wait(5, 1.0)),
        (replace(WORKING, slice_ends=NOW - 0.1), InHand(live=5), SliceOver()),
        (replace(WORKING, slice_ends=NOW), InHand(live=5), Wait(5, 0.001)),  # never none, or others would not have their turn
        (replace(WORKING, slice_ends=NOW + 0.3), InHand(live=5), Wait(5, pytest.approx(0.3))),
        (replace(FINISHING, read_at=NOW - 9), InHand(live=5, in_flight=5), Wait(5, 1.0)),
        (replace(FINISHING, slice_ends=NOW - 0.1), InHand(live=5), SliceOver()),
        (FINISHING, InHand(live=5, backfill=7), Wait(5, 1.0)),
        (FINISHING, InHand(backfill=7, in_flight=1), Wait(0, 1.0)),  # what is live in the lane is not to wait behind it
        (replace(FINISHING, slice_ends=NOW - 9), InHand(in_flight=1), Wait(0, 1.0)),
        (FINISHING, InHand(backfill=7), End()),
        (FINISHING, InHand(unsettled=1), Settle(park_doubtful=True)),
        (ENDING, InHand(live=5, in_flight=1), Wait(0, 1.0)),
        (ENDING, InHand(live=5, unsettled=1), Settle(park_doubtful=True)),
        (ENDING, InHand(live=5, doubtful=1), Settle(park_doubtful=True)),
        (ENDING, InHand(live=5), End()),
        (replace(ENDING, epoch_ended=True), InHand(live=5, unsettled=3), End()),
        (DRY, InHand(unsettled=1), Settle(park_doubtful=True)),
    ],
)  # fmt: skip
def test_what_is_next(session: SessionState, in_hand: InHand, command: object) -> None:
    assert next_command(session, in_hand, NOW, RULES) == command


@pytest.mark.parametrize(
    ("session", "in_hand", "want"),
    [
        (WORKING, InHand(live=5, backfill=3), 1),
        (WORKING, InHand(live=5, in_flight=1, started=1), 0),
    ],
)
def test_a_probe_wants_is_probe(session: SessionState, in_hand: InHand, want: int) -> None:
    command = next_command(session, in_hand, NOW, PROBE)
    assert isinstance(command, Wait)
    assert command.want == want


def test_a_probe_ends_after_its_call() -> None:
    assert next_command(WORKING, InHand(live=5, started=1), NOW, PROBE) == End()
    assert next_command(WORKING, InHand(live=5, started=1, unsettled=1), NOW, PROBE) == Settle(park_doubtful=True)


@pytest.mark.parametrize(
    ("seconds_since", "found", "batch"),
    [(0.1, 16, 32), (0.5, 16, 16), (2.0, 16, 8), (0.1, 0, 16)],
)
def test_backfill_is_read_a_quarter_of_a_second_at_a_time(seconds_since: float, found: int, batch: int) -> None:
    before = replace(WORKING, backfill_read_at=NOW - seconds_since)
    after = machine.read_done(before, Read(200, 16), live=0, backfill=found, recovered=False, now=NOW)
    assert after.backfill_batch == batch
    assert after.dry is (found == 0)
    most = machine.read_done(
        replace(before, backfill_batch=1_000), Read(200, 16), live=0, backfill=found, recovered=False, now=NOW
    )
    assert most.backfill_batch == min(1_000, 1_000 * batch // 16)


def test_how_long_a_batch_lasts_is_not_known_by_the_first() -> None:
    after = machine.read_done(WORKING, Read(200, 16), live=0, backfill=16, recovered=False, now=NOW)
    assert after.backfill_batch == WORKING.backfill_batch


@pytest.mark.parametrize(("live", "backfill"), [(1, 0), (0, 16), (0, 0)])
@pytest.mark.parametrize("recovered", [True, False])
def test_what_a_read_tells(live: int, backfill: int, recovered: bool) -> None:
    after = machine.read_done(BEGUN, Read(200, 16), live=live, backfill=backfill, recovered=recovered, now=NOW)
    found = live + backfill > 0
    assert after == replace(
        BEGUN, read_at=NOW, found=found, dry=not found, recovering=recovered, backfill_read_at=NOW if backfill else None
    )
    assert machine.settled(after, NOW + 1) == replace(after, settled_at=NOW + 1)


def test_a_read_that_did_not_ask_for_backfill_does_not_find_the_lane_dry() -> None:
    after = machine.read_done(WORKING, Read(200, 0), live=0, backfill=0, recovered=False, now=NOW)
    assert not after.dry


def test_a_session_reads_for_long_then_works_off_what_it_holds_and_ends() -> None:
    session, phases = BEGUN, []
    while session.phase is not Phase.ENDING:
        phases.append(session.phase)
        session = machine.slice_over(session, RULES, goes_on=True)
    reading, finishing = phases.count(Phase.WORKING), phases.count(Phase.FINISHING)
    assert phases == [Phase.WORKING] * reading + [Phase.FINISHING] * finishing
    assert reading * RULES.slice_seconds == RULES.reads_seconds
    assert finishing * RULES.slice_seconds == machine.FINISHES_SECONDS


@pytest.mark.parametrize("seconds", [1, 61])
def test_what_was_told_to_end_while_its_slice_ended_ends(seconds: int) -> None:
    broken = machine.destination_failed(WORKING, DestinationBroken("broken", code="bad_client"))
    session = replace(broken, slice_ends=NOW + seconds)
    assert machine.slice_over(session, replace(RULES, reads_seconds=60), goes_on=True) == session


@pytest.mark.parametrize("session", [BEGUN, FINISHING])
def test_a_session_ends_after_its_slice_when_somebody_waits(session: SessionState) -> None:
    assert machine.slice_over(session, RULES, goes_on=False).phase is Phase.ENDING


def test_a_session_is_over_before_the_broker_gives_its_wake_up_to_another_worker() -> None:
    visibility_seconds = broker_settings("redis://localhost/0")["broker_transport_options"]["visibility_timeout"]
    settings = Settings()
    token_seconds = settings.connect_timeout_seconds + 30
    last_call_seconds = token_seconds + settings.connect_timeout_seconds + settings.read_timeout_seconds
    longest = machine.READS_SECONDS_AT_MOST + machine.FINISHES_SECONDS + last_call_seconds
    assert longest < visibility_seconds


def test_only_a_first_read_that_finds_much_asks_whether_to_go_on_here() -> None:
    assert machine.takes_long(BEGUN, machine.MUCH_ENTRIES, RULES)
    assert not machine.takes_long(BEGUN, machine.MUCH_ENTRIES - 1, RULES)
    assert not machine.takes_long(BEGUN, machine.MUCH_ENTRIES, replace(RULES, is_probe=True)), (
        "a probe calls where it is"
    )
    after = machine.read_done(BEGUN, Read(500, 0), live=500, backfill=0, recovered=False, now=NOW)
    assert not machine.takes_long(after, 500, RULES)


@pytest.mark.parametrize(("seconds", "phase", "wait"), [(1.0, Phase.WORKING, 0.0), (30.0, Phase.ENDING, 30.0)])
def test_an_account_that_has_to_be_left_alone_for_long_ends_the_session(
    seconds: float, phase: Phase, wait: float
) -> None:
    after = machine.held(WORKING, seconds)
    assert (after.phase, after.wait_seconds) == (phase, wait)
    assert machine.held(machine.held(WORKING, 30.0), 10.0).wait_seconds == 30.0


def test_for_an_epoch_that_is_over_nothing_more_is_written() -> None:
    assert machine.epoch_over(WORKING) == replace(ENDING, epoch_ended=True)


def test_what_is_broken_counts_more_than_what_is_away() -> None:
    away, broken = DestinationUnreachable("away", code="outage"), DestinationBroken("broken", code="bad_client")
    for order in ((away, broken), (broken, away)):
        session = WORKING
        for error in order:
            session = machine.destination_failed(session, error)
            assert session.error in (error, broken)
        assert session.error is broken
        assert session.phase is Phase.ENDING


in_hands = st.builds(
    InHand,
    live=st.integers(0, 300), backfill=st.integers(0, 300), in_flight=st.integers(0, 64),
    started=st.integers(0, 300), unsettled=st.integers(0, 200), held=st.integers(0, 6_000), doubtful=st.integers(0, 5),
)  # fmt: skip
sessions = st.builds(
    SessionState,
    slice_ends=st.floats(NOW - 5, NOW + 5), reads_until=st.just(NOW + 30), phase=st.sampled_from(Phase),
    read_at=st.floats(NOW - 5, NOW), found=st.booleans(), dry=st.booleans(),
    recovering=st.booleans(), settled_at=st.floats(NOW - 5, NOW),
    epoch_ended=st.booleans(),
)  # fmt: skip


@given(sessions, in_hands)
def test_the_end_leaves_nothing_behind(session: SessionState, in_hand: InHand) -> None:
    command = next_command(session, in_hand, NOW, RULES)
    if isinstance(command, End):
        assert not in_hand.in_flight
        assert not in_hand.doubtful
        assert not in_hand.unsettled or session.epoch_ended
        assert (
            not (in_hand.live if session.phase is Phase.FINISHING else in_hand.waiting) or session.phase is Phase.ENDING
        )
    if isinstance(command, Wait):
        assert command.seconds > 0
        wanted = {Phase.WORKING: in_hand.waiting, Phase.FINISHING: in_hand.live, Phase.ENDING: 0}
        assert command.want == wanted[session.phase]
    if session.phase is Phase.ENDING:
        assert not isinstance(command, SliceOver)
    if session.phase is not Phase.WORKING:
        assert not isinstance(command, Read)


@given(sessions, in_hands)
def test_a_read_that_found_nothing_is_not_repeated_at_once(session: SessionState, in_hand: InHand) -> None:
    """Or answers would lie unheard for as long as there is room."""
    session = replace(session, settled_at=NOW, slice_ends=NOW + 1)
    command = next_command(session, in_hand, NOW, RULES)
    if isinstance(command, Read):
        after = machine.read_done(session, command, live=0, backfill=0, recovered=False, now=NOW)
        assert not isinstance(next_command(after, in_hand, NOW, RULES), Read)


@given(
    sessions,
    st.sampled_from([
        lambda session: machine.read_done(session, Read(200, 16), live=3, backfill=0, recovered=False, now=NOW),
        lambda session: machine.settled(session, NOW),
        lambda session: machine.slice_over(session, RULES, goes_on=True),
        lambda session: machine.held(session, 1.0),
        lambda session: machine.held(session, 60.0),
        lambda session: machine.destination_failed(session, DestinationUnreachable("away", code="outage")),
        machine.epoch_over,
    ]),
)  # fmt: skip
def test_nothing_that_happens_brings_an_ended_session_back(
    session: SessionState, event: Callable[[SessionState], SessionState]
) -> None:
    assert event(machine.told_to_end(session)).phase is Phase.ENDING


@given(sessions, in_hands, st.booleans())
def test_a_wait_is_for_something(session: SessionState, in_hand: InHand, is_probe: bool) -> None:
    """Once it is over and nothing has happened, something else is next, or the longest wait."""
    rules = replace(RULES, is_probe=is_probe)
    command = next_command(session, in_hand, NOW, rules)
    if isinstance(command, Wait) and command.seconds < rules.rest_seconds:
        assert not isinstance(next_command(session, in_hand, NOW + command.seconds + 0.002, rules), Wait)


@given(sessions, in_hands)
def test_there_is_always_an_end(session: SessionState, in_hand: InHand) -> None:
    """Whatever it begins with: once told to end, and with the calls answered, a session ends in a few steps."""
    session, in_hand = machine.told_to_end(session), replace(in_hand, in_flight=0)
    for _ in range(4):
        command = next_command(session, in_hand, NOW, RULES)
        if isinstance(command, End):
            return
        assert isinstance(command, Settle)
        in_hand = replace(in_hand, unsettled=0, doubtful=0 if command.park_doubtful else in_hand.doubtful)
        session = machine.settled(session, NOW)
    raise AssertionError(command)


def test_a_contact_in_doubt_gives_way_when_nobody_else_can_be_read() -> None:
    """What waits behind it fills the session, so that no other contact can tell whose trouble it is."""
    full = InHand(held=5_000, doubtful=1)
    assert next_command(WORKING, full, NOW, RULES) == Settle(park_doubtful=True)
    assert isinstance(next_command(WORKING, replace(full, doubtful=0), NOW, RULES), Wait)
    assert isinstance(next_command(WORKING, replace(full, in_flight=1), NOW, RULES), Wait)
