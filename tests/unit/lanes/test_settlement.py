"""A settlement as the script reads it: sections, each with its count first."""

from __future__ import annotations

import pytest

from app.lanes.settlement import Moved, Settlement

EMPTY = [0, 0, 0, 0, 0, 0, 0]


def with_jobs() -> Settlement:
    settlement = Settlement()
    for job_id, counter in (("b", "delivered"), ("a", "failed"), ("b", "delivered"), ("", "delivered")):
        settlement.count_job(job_id, counter)
    settlement.count("calls", 2)
    settlement.count("calls")
    return settlement


@pytest.mark.parametrize(
    ("settlement", "arguments"),
    [
        (Settlement(), [0, *EMPTY]),
        (Settlement(live_ids=[b"1-0", b"2-0"]), [0, 2, b"1-0", b"2-0", *EMPTY[1:]]),
        (Settlement(backfill_ids=[b"1-0"]), [0, 0, 1, b"1-0", *EMPTY[2:]]),
        (Settlement(delivered={b"tag": b"row"}), [0, 0, 0, 1, b"tag", b"row", *EMPTY[3:]]),
        (Settlement(parked=[(9, ["j", "job"])]), [0, 0, 0, 0, 1, 9, 2, "j", "job", *EMPTY[4:]]),
        (
            Settlement(moved=[Moved(7, True, ["j", "x"]), Moved(2, False, ["j", "y"]), Moved(7, True, ["j", "z"])]),
            [2, 0, 0, 0, 0, 3, 2, 2, "j", "x", 1, 2, "j", "y", 2, 2, "j", "z", *EMPTY[5:]],
        ),
        (Settlement(failures=[("id", 5, b"sealed")]), [0, 0, 0, 0, 0, 0, 1, "id", 5, b"sealed", 0]),
        (with_jobs(), [0, *EMPTY[1:], 1, "calls", 3, 1, "delivered", 2, 1, "failed", 1]),
    ],
)
def test_what_the_script_is_told(settlement: Settlement, arguments: list[object]) -> None:
    assert settlement.arguments() == arguments


def test_entries_that_move_name_each_stream_once_in_the_order_of_its_keys() -> None:
    moved = [Moved(7, True, []), Moved(2, True, []), Moved(7, True, []), Moved(2, False, [])]
    assert Settlement(moved=moved).targets() == [(2, False), (2, True), (7, True)]


@pytest.mark.parametrize(
    ("settlement", "entries", "has_something"),
    [
        (Settlement(), 0, False),
        (Settlement(live_ids=[b"1-0"], backfill_ids=[b"2-0"]), 2, True),
        (Settlement(run={"calls": 1}), 0, True),
        (Settlement(delivered={b"tag": b"row"}), 0, True),
    ],
)
def test_a_settlement_is_as_long_as_its_entries_and_may_be_worth_writing_without_any(
    settlement: Settlement, entries: int, has_something: bool
) -> None:
    assert (len(settlement), bool(settlement)) == (entries, has_something)
