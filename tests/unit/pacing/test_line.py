from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.pacing.line import IN_A_ROW, Line


def order(line: Line[str]) -> list[str]:
    return list(iter(line.next, None))


def test_live_comes_before_backfill() -> None:
    line: Line[str] = Line()
    line.want("old", "camp", 2, backfill=True)
    line.want("new", "camp", 2, backfill=False)
    assert order(line) == ["new", "new", "old", "old"]


def test_destinations_take_turns_however_many_lanes_they_have() -> None:
    line: Line[str] = Line()
    for lane in range(3):
        line.want(f"big-{lane}", "big", 2, backfill=False)
    line.want("small", "small", 3, backfill=False)
    assert order(line) == ["big-0", "small", "big-0", "small", "big-1", "small", "big-1", "big-2", "big-2"]


def test_lanes_of_a_destination_take_turns_of_some_calls() -> None:
    line: Line[str] = Line()
    for lane in ("a", "b"):
        line.want(lane, "big", 6, backfill=False)
    for _ in range(3):
        line.next()
    line.want("b", "big", 0, backfill=False)
    line.want("b", "big", 6, backfill=False)
    assert order(line) == [*"a", *"bbbb", *"aa", *"bb"]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=16), st.integers(1, 30))
def test_no_lane_waits_for_more_than_some_calls_of_each_other(wants: list[int], others: int) -> None:
    line: Line[int] = Line()
    for lane, count in enumerate(wants):
        line.want(lane, "big", count, backfill=False)
    line.want(-1, "other", others, backfill=False)
    served = [place for place in iter(line.next, None) if place != -1]
    assert [served.count(lane) for lane in range(len(wants))] == wants
    for lane in range(len(wants)):
        turns = [at for at, place in enumerate(served) if place == lane]
        gaps = [after - before - 1 for before, after in pairwise([-1, *turns])]
        assert max(gaps) <= IN_A_ROW * (len(wants) - 1)


def test_who_comes_is_next() -> None:
    line: Line[str] = Line()
    line.want("big", "big", 100, backfill=False)
    line.want("other", "other", 100, backfill=False)
    assert [line.next() for _ in range(3)] == ["big", "other", "big"]
    for number in range(3):
        line.want(f"small-{number}", f"small-{number}", 1, backfill=False)
    assert [line.next() for _ in range(6)] == ["small-0", "other", "small-1", "big", "small-2", "other"]


def test_who_comes_again_and_again_has_its_turns_and_no_more() -> None:
    line: Line[str] = Line()
    line.want("big", "big", 100, backfill=False)
    served = []
    for _ in range(10):
        line.want("restless", "restless", 1, backfill=False)
        served.append(line.next())
    assert 4 <= served.count("big") <= 6


@given(st.lists(st.integers(0, 4), min_size=60, max_size=60))
def test_however_many_come_who_waits_has_every_second_turn(comers: list[int]) -> None:
    line: Line[str] = Line()
    line.want("big", "big", 100, backfill=False)
    served = []
    for number in comers:
        line.want(f"small-{number}", f"small-{number}", 1, backfill=False)
        served.append(line.next())
    assert served.count("big") >= 29
    assert all(len(set(served[at : at + 12])) > 1 for at in range(48)), "and who comes is served as well"


def test_what_is_wanted_can_change() -> None:
    line: Line[str] = Line()
    line.want("a", "camp", 5, backfill=True)
    line.want("a", "camp", 1, backfill=False)
    assert (line.live, line.backfill) == (1, 0)
    line.want("a", "camp", 0, backfill=False)
    assert not line
    assert line.next() is None


def test_places_are_all_that_wait() -> None:
    line: Line[str] = Line()
    line.want("a", "camp", 1, backfill=True)
    line.want("b", "other", 1, backfill=False)
    assert sorted(line.places()) == ["a", "b"]
