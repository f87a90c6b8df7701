"""What an outcome of a profile writes down: counted for the run and the job, gone from its lane, and kept when it failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import CallError, TransientFailure
from app.lanes.entries import Entry, Origin
from app.lanes.outcomes import REPLAY, Ledger, Outcome, exhausted
from app.lanes.settlement import Moved
from app.mapping.update import Reason
from app.reporting.measures import Measures
from app.sealing import KeyRing, make_key
from app.settings import Settings

NOW = 1_795_341_600_000
HOUR_MS = 3_600_000
SETTINGS = replace(
    Settings.from_env(), retry_window_seconds=3_600, retry_minimum=3, retry_base_seconds=2, retry_cap_seconds=300
)
LOST = TransientFailure("no answer", code="connection_lost")
REFUSED = CallError(
    "not taken", code="refused", remedy="Mend it.", http_status=200, service_message="no such place", request_id="r-1"
)


def entry(number: int = 1, *, backfill: bool = False, attempts: int = 0, since_ms: int = 0) -> Entry:
    origin = Origin("job", NOW, NOW, number, "b" if backfill else "", b"t" * 12)
    return Entry(f"{number}-0".encode(), backfill, origin, attempts, since_ms, b"sealed")


def new_ledger() -> Ledger:
    return Ledger("demo", KeyRing((make_key(),)), SETTINGS, Measures())


@pytest.mark.parametrize("backfill", [False, True])
def test_a_closed_entry_leaves_its_lane_and_counts_once_with_what_was_left_out(backfill: bool) -> None:
    ledger, one, other = new_ledger(), entry(1, backfill=backfill), entry(1, backfill=not backfill)
    ledger.note_left_out(one, ["mapping[3]: is no date", "mapping[4]: is no date"])
    ledger.close_all([other, one], Outcome.UNCHANGED)
    settlement = ledger.take()
    assert (settlement.live_ids, settlement.backfill_ids, ledger.left) == ([b"1-0"], [b"1-0"], 2)
    left_out = {"left_out:mapping[3]: is no date": 1, "left_out:mapping[4]: is no date": 1}
    assert settlement.run == {"unchanged": 2, **left_out}
    assert settlement.jobs == {"job": {"unchanged": 2}}
    ledger.close(one, Outcome.UNCHANGED)
    assert ledger.take().run == {"unchanged": 1}, "what was left out is told once"


def test_an_exclusion_is_counted_with_its_reason_and_for_the_run_with_its_detail() -> None:
    ledger = new_ledger()
    ledger.exclude(entry(), Reason.MISSING_EMAIL, "no address")
    settlement = ledger.take()
    assert settlement.run == {"excluded": 1, "why:missing_email|no address": 1}
    assert settlement.jobs == {"job": {"excluded": 1, "why:missing_email": 1}}


def test_a_failure_is_counted_with_its_code_and_kept_sealed() -> None:
    ledger = new_ledger()
    ledger.fail(entry(), REFUSED, now_ms=NOW)
    settlement = ledger.take()
    assert settlement.run == {"failed": 1, "why:refused|not taken": 1}
    assert settlement.jobs == {"job": {"failed": 1, "why:refused": 1}}
    ((_, failed_at_ms, record),) = settlement.failures
    assert failed_at_ms == NOW
    assert record.endswith(b"sealed")
    assert b"no such place" not in record


@pytest.mark.parametrize(
    ("attempts", "since_ms", "given_up"),
    [
        (0, 0, False),
        (1, NOW - HOUR_MS, False),  # not often enough
        (2, NOW - HOUR_MS + 1, False),  # not for long enough
        (2, NOW - HOUR_MS, True),
    ],
)
def test_what_was_tried_often_and_for_long_is_given_up_and_the_rest_parked(
    attempts: int, since_ms: int, given_up: bool
) -> None:
    ledger, tried = new_ledger(), entry(attempts=attempts, since_ms=since_ms)
    ledger.retry_later([tried], LOST, now_ms=NOW)
    settlement = ledger.take()
    assert settlement.live_ids == [b"1-0"]
    if given_up:
        assert not settlement.parked
        assert settlement.run == {
            "failed": 1,
            "why:retries_exhausted|Given up after 3 tries; the last one: no answer": 1,
        }
    else:
        ((due_ms, fields),) = settlement.parked
        assert 0 <= due_ms - NOW <= 2_000 * 2**attempts
        assert fields == tried.parked_fields(NOW)
        assert (settlement.run, settlement.jobs) == ({"retried": 1}, {})


def test_the_next_try_comes_after_a_delay_that_doubles() -> None:
    ledger = new_ledger()
    for _ in range(60):
        ledger.retry_later([entry(attempts=1)], LOST, now_ms=NOW)
    assert 2_000 < max(due_ms - NOW for due_ms, _ in ledger.take().parked) <= 4_000


def test_what_was_delivered_is_measured_by_its_fields() -> None:
    measures = Measures()
    ledger = Ledger("demo", KeyRing((make_key(),)), SETTINGS, measures)
    ledger.deliver(entry(), ["A.one", "A.two"])
    assert measures._counts == {"demo": {"matched:A.one": 1, "matched:A.two": 1}}
    assert ledger.take().run == {"delivered": 1}


def test_calls_are_counted_where_there_were_any() -> None:
    ledger = new_ledger()
    ledger.count_calls(0)
    assert not ledger.pending
    ledger.count_calls(3)
    assert ledger.pending.run == {"calls": 3}


def test_what_was_tried_together_is_tried_together_again_and_not_before_the_server_says() -> None:
    ledger = new_ledger()
    ledger.retry_later(
        [entry(1), entry(2, attempts=1)], TransientFailure("busy", code="x", wait_seconds=900), now_ms=NOW
    )
    settlement = ledger.take()
    assert [due_ms for due_ms, _ in settlement.parked] == [NOW + 900_000] * 2
    assert settlement.run == {"retried": 2}


def test_what_is_moved_goes_on_waiting() -> None:
    ledger = new_ledger()
    ledger.move(entry(backfill=True), 7, ["j", "job"])
    settlement = ledger.take()
    assert (settlement.backfill_ids, settlement.moved) == ([b"1-0"], [Moved(7, True, ["j", "job"])])
    assert (settlement.run, settlement.jobs) == ({}, {})


def test_the_last_error_of_many_is_told_with_all_that_was_said() -> None:
    last = exhausted(REFUSED, 9)
    assert (last.code, last.remedy, last.http_status) == ("retries_exhausted", "Mend it.", 200)
    assert (last.service_message, last.request_id) == ("no such place", "r-1")
    assert str(last) == "Given up after 9 tries; the last one: not taken"
    assert exhausted(LOST, 9).remedy == REPLAY
